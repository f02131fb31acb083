//go:build linux

package runnet

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// echo answers in a container's namespace what it is sent, by UDP and TCP, on port 7.
func echo(t *testing.T, e *Endpoint) {
	t.Helper()
	at := netip.AddrPortFrom(e.Addr, 7)
	if err := inside(e.Namespace, func() error {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		t.Cleanup(func() { conn.Close() })
		go func() {
			buffer := make([]byte, 100)
			for {
				n, from, err := conn.ReadFrom(buffer)
				if err != nil {
					return
				}
				conn.WriteTo(buffer[:n], from)
			}
		}()
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go splice(conn, conn, nil)
			}
		}()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// said is what comes back for a word that is sent from inside a namespace, or from this
// one if there is none.
func said(t *testing.T, namespace, network string, to netip.AddrPort, word string) string {
	t.Helper()
	var conn net.Conn
	dial := func() (err error) {
		conn, err = net.DialTimeout(network, to.String(), time.Second)
		return err
	}
	var err error
	if namespace == "" {
		err = dial()
	} else {
		err = inside(namespace, dial)
	}
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(word)); err != nil {
		return ""
	}
	buffer := make([]byte, 100)
	n, _ := conn.Read(buffer)
	return string(buffer[:n])
}

func TestPublish(t *testing.T) {
	_, r := openRouter(t)
	n, err := r.AddNetwork(Options{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := join(n, Container{ID: "aaaaaaaaaaaa"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := join(n, Container{ID: "bbbbbbbbbbbb"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	echo(t, server)
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, network := range []string{"tcp", "udp"} {
		published, err := r.Publish(Publication{Network: network, At: netip.AddrPortFrom(netip.IPv4Unspecified(), 0), To: netip.AddrPortFrom(server.Addr, 7), Machine: loopback})
		if err != nil {
			t.Fatal(err)
		}
		for name, from := range map[string]struct {
			namespace string
			at        netip.Addr
		}{
			"the run's host": {r.Namespace(), loopback},
			"a container":    {client.Namespace, n.Gateway()},
			"the machine":    {"", loopback},
		} {
			for _, word := range []string{"one", "two"} {
				if got := said(t, from.namespace, network, netip.AddrPortFrom(from.at, published.Port), word); got != word {
					t.Errorf("%s from %s: %q came back as %q", network, name, word, got)
				}
			}
		}
		if network == "tcp" {
			if _, err := r.Publish(Publication{Network: network, At: netip.AddrPortFrom(loopback, published.Port), To: netip.AddrPortFrom(server.Addr, 7)}); err == nil {
				t.Error("a port was published twice")
			}
		}
		published.Close()
		if got := said(t, r.Namespace(), "tcp", netip.AddrPortFrom(loopback, published.Port), "late"); got != "" {
			t.Errorf("%s: a closed publication answers %q", network, got)
		}
	}
	if _, err := r.Publish(Publication{Network: "sctp", At: netip.AddrPortFrom(loopback, 0)}); err == nil {
		t.Error("a protocol that nobody knows was published")
	}
}

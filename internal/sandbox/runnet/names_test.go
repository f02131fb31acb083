//go:build linux

package runnet

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// query asks a router's name server from inside a namespace.
func query(t *testing.T, namespace, name string) (addrs []string, code dnsmessage.RCode) {
	t.Helper()
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	question, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var conn *net.UDPConn
	if err := inside(namespace, func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ServiceAddr, 53)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(question); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1500)
	size, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	var reply dnsmessage.Message
	if err := reply.Unpack(buffer[:size]); err != nil {
		t.Fatal(err)
	}
	for _, answer := range reply.Answers {
		if a, ok := answer.Body.(*dnsmessage.AResource); ok {
			addrs = append(addrs, netip.AddrFrom4(a.A).String())
		}
	}
	return addrs, reply.RCode
}

func TestServices(t *testing.T) {
	registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := strings.Cut(r.RemoteAddr, ":")
		io.WriteString(w, "own "+r.Host+" asked from "+from)
	}))
	defer registry.Close()
	_, r := openRouter(t)
	err := r.Serve(Services{
		Own: func(host string) (string, bool) {
			return registry.Listener.Addr().String(), strings.HasPrefix(host, "registry.example")
		},
		Ports: []uint16{443},
	})
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.AddNetwork(Options{Names: true})
	if err != nil {
		t.Fatal(err)
	}
	a, err := join(n, Container{ID: "aaaaaaaaaaaa", Names: []string{"step"}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for name, want := range map[string]string{"registry.example": ServiceAddr.String(), "step": a.Addr.String(), "unknown.example": ""} {
		addrs, code := query(t, a.Namespace, name)
		if got := strings.Join(addrs, " "); got != want || (code == dnsmessage.RCodeNameError) != (want == "") {
			t.Errorf("%s: %q, %v, want %q", name, got, code, want)
		}
	}
	var raw net.Conn
	if err := inside(a.Namespace, func() (err error) {
		raw, err = net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ServiceAddr, 443)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// The certificate is of no interest here, the name is.
	conn := tls.Client(raw, &tls.Config{ServerName: "registry.example", InsecureSkipVerify: true})
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.0\r\nHost: registry.example\r\n\r\n")
	answer, err := io.ReadAll(conn)
	// It comes from no address that a proxy on the machine has.
	if err != nil || !strings.Contains(string(answer), "own registry.example asked from 127.28.") {
		t.Errorf("got %q, error %v", answer, err)
	}
}

//go:build linux

package runnet

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// A router without an uplink has this process connect where its containers want to, and
// nowhere that is the run's own.
func TestRedirect(t *testing.T) {
	_, r := openRouter(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go splice(conn, conn, nil)
		}
	}()
	abroad, refused := netip.MustParseAddrPort("198.51.100.9:443"), netip.MustParseAddrPort("203.0.113.1:80")
	wanted := make(chan netip.AddrPort, 16)
	if err := r.Redirect(func(addr netip.AddrPort) (net.Conn, error) {
		wanted <- addr
		if addr == refused {
			return nil, errors.New("refused")
		}
		return net.Dial("tcp", listener.Addr().String())
	}); err != nil {
		t.Fatal(err)
	}
	n, err := r.AddNetwork(Options{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.AddNetwork(Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := join(n, Container{ID: "aaaaaaaaaaaa"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := join(other, Container{ID: "bbbbbbbbbbbb"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	echo(t, b)
	for name, namespace := range map[string]string{"a container": a.Namespace, "the run's host": r.Namespace()} {
		if got := said(t, namespace, "tcp", abroad, "hello"); got != "hello" {
			t.Errorf("from %s %q came back", name, got)
		}
		if got := <-wanted; got != abroad {
			t.Errorf("%s was connected to %s, want %s", name, got, abroad)
		}
	}
	if got := said(t, a.Namespace, "tcp", refused, "hello"); got != "" {
		t.Errorf("what was refused answers %q", got)
	}
	<-wanted
	if got := said(t, a.Namespace, "tcp", netip.AddrPortFrom(b.Addr, 7), "hello"); got != "" {
		t.Errorf("another network of the run answers %q", got)
	}
	for _, here := range []netip.AddrPort{netip.AddrPortFrom(MetadataAddr, 80), netip.AddrPortFrom(n.Gateway(), 9)} {
		if got := said(t, a.Namespace, "tcp", here, "hello"); got != "" {
			t.Errorf("%s answers %q", here, got)
		}
	}
	select {
	case addr := <-wanted:
		t.Errorf("%s was connected to", addr)
	default:
	}
}

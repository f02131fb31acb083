//go:build linux

package runnet

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// machines are two namespaces that play the machine and a network it is on, joined by
// a pair of devices. Nothing of it touches the real machine.
func machines(t *testing.T) (host, outside string, hostAddr, outsideAddr netip.Addr) {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	host, outside = filepath.Join(dir, "host"), filepath.Join(dir, "outside")
	hostAddr, outsideAddr = netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	for _, file := range []string{host, outside} {
		if err := makeNamespace(file, userns.IDs{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { removeNamespace(file) })
	}
	tie(t, "lan0", host, outside, hostAddr, outsideAddr)
	return host, outside, hostAddr, outsideAddr
}

// tie joins two namespaces by a pair of devices with a name, and gives each end its address.
func tie(t *testing.T, name, one, other string, oneAddr, otherAddr netip.Addr) {
	t.Helper()
	h, err := handle(one)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	o, err := handle(other)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	ns, err := netns.GetFromPath(other)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = name, netlink.NsFd(ns)
	if err := h.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	for handle, addr := range map[*netlink.Handle]netip.Addr{h: oneAddr, o: otherAddr} {
		if err := start(handle, name, netip.PrefixFrom(addr, 24)); err != nil {
			t.Fatal(err)
		}
	}
}

// route leads a namespace's packets for a network, or all of them, over a neighbour.
func route(t *testing.T, namespace string, via netip.Addr, to string) {
	t.Helper()
	h, err := handle(namespace)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	dst, err := netlink.ParseIPNet(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RouteAdd(&netlink.Route{Dst: dst, Gw: via.AsSlice()}); err != nil {
		t.Fatal(err)
	}
}

// serveIn listens in a namespace and tells who connects.
func serveIn(t *testing.T, namespace string, addr netip.AddrPort) <-chan string {
	t.Helper()
	var listener net.Listener
	if err := inside(namespace, func() (err error) {
		listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	callers := make(chan string, 16)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			caller, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			callers <- caller
			conn.Close()
		}
	}()
	return callers
}

func TestUplink(t *testing.T) {
	nextPort.Store(8000)
	host, outside, hostAddr, outsideAddr := machines(t)
	denied := netip.MustParseAddr("203.0.113.1")
	o, err := handle(outside)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := start(o, "lo", netip.PrefixFrom(denied, 32)); err != nil {
		t.Fatal(err)
	}
	h, err := handle(host)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.RouteAdd(&netlink.Route{Gw: outsideAddr.AsSlice()}); err != nil {
		t.Fatal(err)
	}
	open := func() *Uplink {
		u, err := openUplink(host, "test", []netip.Prefix{netip.PrefixFrom(denied, 32)})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	left := open() // as if by a killed process
	tryUplink(t, left, host, outside, hostAddr, outsideAddr, denied)
	u := open()
	tryUplink(t, u, host, outside, hostAddr, outsideAddr, denied)
	for _, u := range []*Uplink{u, left} {
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
	}
	links, err := h.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if strings.HasPrefix(link.Attrs().Name, "acx") {
			t.Errorf("device %s is left", link.Attrs().Name)
		}
	}
	if err := inside(host, func() error {
		if now, _ := os.ReadFile(forwarding); strings.TrimSpace(string(now)) != "0" {
			t.Errorf("the machine still forwards packets: %s", now)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// nextPort keeps listeners apart.
var nextPort atomic.Uint32

func tryUplink(t *testing.T, u *Uplink, host, outside string, hostAddr, outsideAddr, denied netip.Addr) {
	t.Helper()
	m, err := NewManager(filepath.Join(t.TempDir(), "net"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*Endpoint
	for i, id := range []string{"one", "two"} {
		r, err := m.Open(id, userns.IDs{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		release, err := u.Connect(r)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		n, err := r.AddNetwork(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if ends[i], err = join(n, Container{ID: "aaaaaaaaaaaa"}); err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	listen := func(namespace string, addr netip.Addr) (netip.AddrPort, <-chan string) {
		at := netip.AddrPortFrom(addr, uint16(nextPort.Add(1)))
		return at, serveIn(t, namespace, at)
	}
	at, callers := listen(outside, outsideAddr)
	if !reach(t, ends[0].Namespace, at) {
		t.Fatal("the outside is not reachable")
	}
	if caller := <-callers; caller != hostAddr.String() {
		t.Errorf("the outside sees %s, want the machine's address", caller)
	}
	_, two := uplinkAddrs(1)
	near, _ := uplinkAddrs(0)
	for name, target := range map[string]struct {
		namespace string
		addr      netip.Addr
	}{
		"the machine":             {host, hostAddr},
		"the machine's other end": {host, near},
		"a denied address":        {outside, denied},
	} {
		at, _ := listen(target.namespace, target.addr)
		if reach(t, ends[0].Namespace, at) {
			t.Errorf("%s is reachable from a run", name)
		}
	}
	at, _ = listen(ends[1].network.router.file, two)
	if reach(t, ends[0].Namespace, at) {
		t.Error("another run's router is reachable")
	}
	router := ends[1].network.router.file
	heard := hear(t, router, netip.AddrPortFrom(two, uint16(nextPort.Add(1))), host, router)
	if heard != router {
		t.Errorf("a service in a run's router first hears %s, want the run alone", heard)
	}
}

// hear returns the first namespace that gets a datagram through to an address of another.
func hear(t *testing.T, namespace string, at netip.AddrPort, from ...string) string {
	t.Helper()
	var listener *net.UDPConn
	must := func(namespace string, do func() error) {
		t.Helper()
		if err := inside(namespace, do); err != nil {
			t.Fatal(err)
		}
	}
	must(namespace, func() (err error) { listener, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); return err })
	defer listener.Close()
	for _, sender := range from {
		must(sender, func() error {
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte(sender))
			return err
		})
	}
	first := make([]byte, 1024)
	n, err := listener.Read(first)
	if err != nil {
		t.Fatal(err)
	}
	return string(first[:n])
}

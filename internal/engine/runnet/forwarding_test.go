//go:build linux

package runnet

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acrux/acrux/internal/engine/userns"
)

// A machine that was no router is none because of us: it forwards what runs send and get
// and nothing else, until the last uplink is closed.
func TestForwardingIsForRunsAlone(t *testing.T) {
	host, outside, hostAddr, outsideAddr := machines(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := makeNamespace(other, userns.IDs{}); err != nil {
		t.Fatal(err)
	}
	defer removeNamespace(other)
	otherAddr := netip.MustParseAddr("203.0.113.2")
	joinOther(t, host, other, netip.MustParseAddr("203.0.113.1"), otherAddr)
	routeBack(t, outside, hostAddr, "203.0.113.0/24")
	// Both neighbours of the machine know each other through it.
	at := netip.AddrPortFrom(outsideAddr, 9100)
	callers := serveIn(t, outside, at)
	if reach(t, other, at) {
		t.Fatal("the machine is a router before anything began")
	}
	one, err := openUplink(host, "one", nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := openUplink(host, "two", nil)
	if err != nil {
		t.Fatal(err)
	}
	if reach(t, other, at) {
		t.Errorf("the machine forwards what is none of ours, from %s", <-callers)
	}
	forwards := func() (now string) {
		inside(host, func() error { b, err := os.ReadFile(forwarding); now = strings.TrimSpace(string(b)); return err })
		return now
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if forwards() != "1" {
		t.Error("the first uplink that closed switched off what the second one needs")
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	if forwards() != "0" {
		t.Error("the machine forwards still")
	}
	// Whoever made it a router before keeps it so.
	if err := inside(host, func() error { return os.WriteFile(forwarding, []byte("1"), 0) }); err != nil {
		t.Fatal(err)
	}
	three, err := openUplink(host, "three", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reach(t, other, at) {
		t.Error("a router is none any more")
	}
	if err := three.Close(); err != nil {
		t.Fatal(err)
	}
	if forwards() != "1" {
		t.Error("forwarding that was on before is off now")
	}
}

// joinOther ties another namespace to the machine, and leads its packets there.
func joinOther(t *testing.T, host, other string, near, far netip.Addr) {
	t.Helper()
	h, err := handle(host)
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
	attrs.Name = "lan1"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "lan1", netlink.NsFd(ns)
	if err := h.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	for handle, addr := range map[*netlink.Handle]netip.Addr{h: near, o: far} {
		if err := start(handle, "lan1", netip.PrefixFrom(addr, 24)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.RouteAdd(&netlink.Route{Gw: near.AsSlice()}); err != nil {
		t.Fatal(err)
	}
}

func routeBack(t *testing.T, namespace string, via netip.Addr, to string) {
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

//go:build linux

package runnet

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/sandbox/userns"
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
	near := netip.MustParseAddr("203.0.113.1")
	tie(t, "lan1", host, other, near, near.Next())
	route(t, other, near, "0.0.0.0/0")
	route(t, outside, hostAddr, "203.0.113.0/24")
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

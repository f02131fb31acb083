package egress

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
)

// machineAt gives the machine other addresses.
func machineAt(t *testing.T, list func() ([]net.Addr, error)) {
	before := interfaceAddrs
	interfaceAddrs = list
	t.Cleanup(func() { interfaceAddrs = before })
}

// The addresses of the machine's interfaces are as close as loopback, in whatever form, and
// their neighbours are not.
func TestOwnAddresses(t *testing.T) {
	machineAt(t, func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(192, 0, 2, 7), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)}}, nil
	})
	for _, test := range []struct {
		addr         string
		closed, open bool // by default, and with Loopback
	}{
		{"192.0.2.7", false, true}, {"::ffff:192.0.2.7", false, true}, {"64:ff9b::c000:207", false, true}, {"2002:c000:207::1", false, true},
		{"2001:db8::7", false, true}, {"2001:db8::7%eth0", false, true}, {"192.0.2.8", true, true}, {"2001:db8::8", true, true},
	} {
		addr := netip.MustParseAddr(test.addr)
		if err := (Policy{}).Check(addr); (err == nil) != test.closed || err != nil && !problem.Is(err, problem.Invalid) {
			t.Errorf("%s: %v", addr, err)
		}
		if err := (Policy{Loopback: true}).Check(addr); (err == nil) != test.open {
			t.Errorf("%s with loopback: %v", addr, err)
		}
	}
	if err := (Policy{Allow: prefixes("192.0.2.0/24")}).Check(netip.MustParseAddr("192.0.2.7")); err != nil {
		t.Errorf("the network was allowed: %v", err)
	}
}

// Who cannot tell which addresses are its own connects to none.
func TestUnknownAddresses(t *testing.T) {
	machineAt(t, func() ([]net.Addr, error) { return nil, errors.New("no netlink here") })
	if err := (Policy{}).Check(netip.MustParseAddr("192.0.2.8")); err == nil || problem.Is(err, problem.Invalid) {
		t.Errorf("got %v", err)
	}
}

// What can be allowed is refused with the setting that allows it; what cannot, without.
func TestHelp(t *testing.T) {
	for text, helped := range map[string]bool{"127.0.0.1": true, "::1": true, "64:ff9b::7f00:1": true,
		"169.254.169.254": false, "64:ff9b::a9fe:a9fe": false} {
		addr := netip.MustParseAddr(text)
		err := (Policy{}).Check(addr)
		_, rest, got := strings.Cut(err.Error(), "egress: {allow: ['")
		if got != helped {
			t.Errorf("%s: %v", addr, err)
		}
		if prefix, _, _ := strings.Cut(rest, "'"); got && (Policy{Allow: prefixes(prefix)}).Check(addr) != nil {
			t.Errorf("%s: %v, and it does not", addr, err)
		}
	}
}

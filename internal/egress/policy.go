package egress

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Policy says which addresses may be connected to.
type Policy struct {
	Loopback bool           // the machine itself: 127.0.0.0/8, ::1, and the addresses of its interfaces
	Allow    []netip.Prefix // allowed whatever else is said, what is never allowed excepted
	Deny     []netip.Prefix // refused unless allowed
}

// Check returns nil if addr may be connected to. An address that stands for an IPv4
// address in some network is judged as both.
func (p Policy) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("") // prefixes contain no address with a zone
	meant := meanings(addr)
	for _, one := range append(meant, addr) {
		if never(one) {
			return refuse(addr, "")
		}
	}
	if allowed(p.Allow, addr, meant) {
		return nil
	}
	for _, one := range append(meant, addr) {
		itself, err := p.machine(one)
		if err != nil {
			return err
		}
		if itself || within(p.Deny, one) {
			return refuse(addr, allowing(addr, meant))
		}
	}
	return nil
}

// allowed holds an address that stands for another one against the networks of that one.
func allowed(prefixes []netip.Prefix, addr netip.Addr, meant []netip.Addr) bool {
	for _, one := range meant {
		if !within(prefixes, one) {
			return false
		}
	}
	return len(meant) > 0 || within(prefixes, addr)
}

// machine reports whether an address is one of this machine that the policy keeps closed.
func (p Policy) machine(addr netip.Addr) (bool, error) {
	if p.Loopback {
		return false, nil
	}
	if addr.IsLoopback() || runNetworks.Contains(addr) {
		return true, nil
	}
	all, err := interfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("listing the machine's addresses: %w", err)
	}
	for _, one := range all {
		if prefix, ok := one.(*net.IPNet); ok && prefix.IP.Equal(addr.AsSlice()) {
			return true, nil
		}
	}
	return false, nil
}

// interfaceAddrs lists them; tests have others. Addresses come and go, so it is asked each
// time: that costs microseconds, and a connection to elsewhere costs more.
var interfaceAddrs = net.InterfaceAddrs

// runNetworks is where package runnet has the addresses by which the machine reaches the
// networks of runs: what listens there belongs to some run, and is nobody else's.
var runNetworks = netip.MustParsePrefix("100.127.0.0/16")

// forbidden are, beside the link-local ones, where clouds answer machines about
// themselves: AWS over IPv6, Scaleway, Google over IPv6, Alibaba, Azure's platform and
// Oracle. Of 0.0.0.0/8 the first address is the machine, and the others are nobody.
var forbidden = prefixes("fd00:ec2::/32", "fd00:42::42/128", "fd20:ce::254/128", "100.100.100.200/32",
	"168.63.129.16/32", "192.0.0.192/32", "0.0.0.0/8", "255.255.255.255/32")

// never reports whether an address is refused whatever is configured.
func never(addr netip.Addr) bool {
	return addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast() || within(forbidden, addr)
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func within(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// refuse refuses an address. What would help is a part of the message: git, BuildKit and logs
// pass on a text, and no hints.
func refuse(addr netip.Addr, help string) *problem.Error {
	return problem.New(problem.Invalid, "AddressNotAllowed",
		"connecting to %s is not allowed by this server's egress policy%s", addr, help)
}

// allowing is the setting that allows an address, or what it stands for.
func allowing(addr netip.Addr, meant []netip.Addr) string {
	if len(meant) > 0 {
		addr = meant[0]
	}
	return fmt.Sprintf("; in acrux.yaml, with a new start of the server, egress: {allow: ['%s']} allows it",
		netip.PrefixFrom(addr, addr.BitLen()))
}

// String says what the policy is, for the log of a server.
func (p Policy) String() string {
	text := "not this machine"
	if p.Loopback {
		text = "this machine as well"
	}
	for _, list := range []struct {
		name     string
		prefixes []netip.Prefix
	}{{"allowed", p.Allow}, {"denied", p.Deny}} {
		var shown []string
		for _, prefix := range list.prefixes {
			shown = append(shown, prefix.String())
		}
		if len(shown) > 0 {
			text += ", " + list.name + " " + strings.Join(shown, " ")
		}
	}
	return text
}

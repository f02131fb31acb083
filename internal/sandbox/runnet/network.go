//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Options say what a network is like.
type Options struct {
	IPv6 bool // addresses of version 6 as well
	// Isolated keeps the containers of the network from reaching each other; they
	// reach the router only. For a network that several runs share.
	Isolated bool
	// Names lets the containers find each other by name.
	Names bool
}

// Network is one bridge of a router. It is safe for concurrent use.
type Network struct {
	router  *Router
	options Options
	bridge  netlink.Link
	v4, v6  netip.Prefix // v6 is invalid without IPv6; the first address is the gateway's

	mu      sync.Mutex
	members map[netip.Addr]*Endpoint // by address of version 4
}

// AddNetwork makes a network. It goes with the router.
func (r *Router) AddNetwork(options Options) (*Network, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == maxNetworks {
		return nil, fmt.Errorf("a run cannot have more than %d networks", maxNetworks)
	}
	n := &Network{router: r, options: options, members: map[netip.Addr]*Endpoint{}}
	n.v4, n.v6 = prefixes(len(r.all), options.IPv6)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("br%d", len(r.all))
	n.bridge = &netlink.Bridge{LinkAttrs: attrs}
	if err := r.link.LinkAdd(n.bridge); err != nil {
		return nil, fmt.Errorf("making a bridge: %w", err)
	}
	r.all = append(r.all, n)
	if err := n.ready(r.file, attrs.Name); err != nil {
		return nil, err
	}
	for _, prefix := range n.prefixes() {
		gateway := netip.PrefixFrom(prefix.Addr().Next(), prefix.Bits())
		if err := r.link.AddrAdd(n.bridge, ipAddr(gateway)); err != nil {
			return nil, fmt.Errorf("setting the gateway's address %s: %w", gateway, err)
		}
	}
	if err := r.link.LinkSetUp(n.bridge); err != nil {
		return nil, fmt.Errorf("starting a bridge: %w", err)
	}
	return n, nil
}

// ready prepares a device in the namespace behind file for the network's addresses.
func (n *Network) ready(file, device string) error {
	if !n.v6.IsValid() {
		return nil // it has none of version 6
	}
	return inside(file, func() error { return allowIPv6(device) })
}

const maxNetworks = 256

// prefixes are the addresses of a run's network number i. They are the same in every
// run: runs do not meet.
func prefixes(i int, ipv6 bool) (v4, v6 netip.Prefix) {
	v4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 28, byte(i), 0}), 24)
	if ipv6 {
		v6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0xac, 7: byte(i)}), 64)
	}
	return v4, v6
}

func (n *Network) prefixes() []netip.Prefix {
	if n.v6.IsValid() {
		return []netip.Prefix{n.v4, n.v6}
	}
	return []netip.Prefix{n.v4}
}

// Prefixes are the network's addresses; v6 is invalid without IPv6.
func (n *Network) Prefixes() (v4, v6 netip.Prefix) { return n.v4, n.v6 }

// Gateway is the router's address in the network.
func (n *Network) Gateway() netip.Addr { return n.v4.Addr().Next() }

// take gives the lowest free address to e. Members beyond what fits are refused.
func (n *Network) take(e *Endpoint) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	host := 2
	for addr := n.Gateway().Next(); n.v4.Contains(addr.Next()); addr, host = addr.Next(), host+1 {
		if _, used := n.members[addr]; used {
			continue
		}
		e.Addr = addr
		if n.v6.IsValid() {
			bytes := n.v6.Addr().As16()
			bytes[15] = byte(host)
			e.Addr6 = netip.AddrFrom16(bytes)
		}
		n.members[addr] = e
		return nil
	}
	return errors.New("the network has no free address")
}

// ipAddr turns a prefix into netlink's form. Duplicate address detection is off: it
// would delay addresses of version 6 by a second, and we give them out ourselves.
func ipAddr(p netip.Prefix) *netlink.Addr {
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

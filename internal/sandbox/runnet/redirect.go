//go:build linux

package runnet

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Dial connects to an address outside of a run.
type Dial func(addr netip.AddrPort) (net.Conn, error)

// Redirect is a way out for routers whose process is not root of the machine, and so may
// not give them an Uplink: what their containers connect to by TCP is connected to by
// this process instead. Nothing else leaves the router. It holds until the router is
// closed.
func (r *Router) Redirect(dial Dial) error {
	listener, err := r.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	if err := r.leadOut(); err != nil {
		return err
	}
	if err := redirectRouter(r.file, port); err != nil {
		return err
	}
	go passOut(listener, port, dial)
	return nil
}

// leadOut gives the router a route for whatever is outside, without which it would not
// even look at the rules, and lets it take packets from its bridges.
func (r *Router) leadOut() error {
	lo, err := r.link.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback device: %w", err)
	}
	everywhere := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if err := r.link.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: everywhere, Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("setting a router's default route: %w", err)
	}
	if err := inside(r.file, func() error { return setForwarding("1") }); err != nil {
		return fmt.Errorf("letting a router forward packets: %w", err)
	}
	return nil
}

// Where a run's own addresses are.
var (
	runNet      = netip.MustParsePrefix("172.28.0.0/16")
	loopbackNet = netip.MustParsePrefix("127.0.0.0/8")
	linkNet     = netip.MustParsePrefix("169.254.0.0/16")
)

// redirectRouter sends what is meant for somebody outside to a port of the router, and
// keeps the networks of a run apart.
func redirectRouter(file string, port uint16) error {
	return rules(file, "router", func(c *nftables.Conn, table *nftables.Table) {
		redirect := part{
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
			&expr.Redir{RegisterProtoMin: 1},
		}
		abroad := []part{isTCP, elsewhere(runNet), elsewhere(loopbackNet), elsewhere(linkNet), redirect}
		through := chain(c, table, "prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
		add(c, through, append([]part{in("br")}, abroad...)...)
		own := chain(c, table, "output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
		add(c, own, abroad...)
		forward := chain(c, table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
		add(c, forward, in("br"), out("br"), drop)
	})
}

var isTCP = part{
	&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
	&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
}

// elsewhere matches packets that go to an address outside of a network.
func elsewhere(prefix netip.Prefix) part {
	match := to(prefix)
	match[len(match)-1].(*expr.Cmp).Op = expr.CmpOpNeq
	return match
}

// passOut passes connections on to where they were meant to go.
func passOut(listener net.Listener, port uint16, dial Dial) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // the router was closed
		}
		go func() {
			defer conn.Close()
			to, err := meant(conn)
			if err != nil || to.Port() == port && !abroad(to.Addr()) {
				return // somebody connected to the port itself
			}
			up, err := dial(to)
			if err != nil {
				// The client believes to be connected; it sees that it is not after all.
				_ = conn.(*limited).SetLinger(0)
				return
			}
			defer up.Close()
			splice(conn, up, nil)
		}()
	}
}

func abroad(addr netip.Addr) bool {
	return !runNet.Contains(addr) && !loopbackNet.Contains(addr) && !linkNet.Contains(addr)
}

// meant is where a redirected connection was meant to go. The kernel gives an IPv4
// address in the form of sockaddr_in, whose size is that of the structure used here.
func meant(conn net.Conn) (addr netip.AddrPort, err error) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return addr, err
	}
	var answer *unix.IPv6Mreq
	var asked error
	if err := raw.Control(func(fd uintptr) {
		answer, asked = unix.GetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IP, unix.SO_ORIGINAL_DST)
	}); err != nil {
		return addr, err
	}
	if asked != nil {
		return addr, asked
	}
	b := answer.Multiaddr
	port := uint16(b[2])<<8 | uint16(b[3])
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port), nil
}

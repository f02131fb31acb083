//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rules writes one table of packet rules in the namespace behind file. It is for IPv4 and
// IPv6.
func rules(file, name string, write func(c *nftables.Conn, table *nftables.Table)) error {
	return inside(file, func() error { return rulesHere(nftables.TableFamilyINet, name, write) })
}

// rulesHere writes a table in the namespace of the calling thread.
func rulesHere(family nftables.TableFamily, name string, write func(c *nftables.Conn, table *nftables.Table)) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("opening the packet filter: %w", err)
	}
	table := &nftables.Table{Family: family, Name: name}
	// Adding a table that exists is harmless, so this empties it as well.
	c.AddTable(table)
	c.DelTable(table)
	if write != nil {
		c.AddTable(table)
		write(c, table)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("setting the rules of the packet filter: %w", err)
	}
	return nil
}

func (u *Uplink) removeTable() error {
	return inside(u.host, func() error {
		var errs []error
		// The first version of these rules was a table of IPv4.
		for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyNetdev, nftables.TableFamilyIPv4} {
			if err := rulesHere(family, u.name, nil); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
}

// fence lets nothing but IPv4 and ARP into the machine by the device, before any other rule
// and any part of the kernel that would answer sees it. It works in the namespace of the
// calling thread. The rules go with the device.
func (u *Uplink) fence(device string) error {
	if err := refuseIPv6(device); err != nil {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("opening the packet filter: %w", err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: u.name})
	ingress := c.AddChain(&nftables.Chain{
		Table: table, Name: device, Type: nftables.ChainTypeFilter, Device: device,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
	})
	add(c, ingress, not(unix.ETH_P_IP), not(unix.ETH_P_ARP), drop)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("setting the rules of network device %s: %w", device, err)
	}
	return nil
}

// translate sets the machine's rules.
func (u *Uplink) translate(deny []netip.Prefix) error {
	return rules(u.host, u.name, func(c *nftables.Conn, table *nftables.Table) {
		nat := chain(c, table, "postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
		add(c, nat, from(uplinkNet), notTo(u.name), masquerade)
		forward := chain(c, table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
		add(c, forward, in(u.name), isIPv6, drop)
		add(c, forward, out(u.name), isIPv6, drop)
		add(c, forward, in(u.name), out(u.name), drop)
		add(c, forward, in(u.name), to(netip.MustParsePrefix("169.254.0.0/16")), drop)
		for _, prefix := range deny {
			if prefix.Addr().Is4() {
				add(c, forward, in(u.name), to(prefix), drop)
			}
		}
		input := chain(c, table, "input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
		add(c, input, in(u.name), drop)
	})
}

// translateRouter sets a router's rules: networks of one run do not reach each other,
// and what leaves the router bears the router's address.
func translateRouter(file string) error {
	return rules(file, "router", func(c *nftables.Conn, table *nftables.Table) {
		nat := chain(c, table, "postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
		add(c, nat, out(uplinkDevice), masquerade)
		forward := chain(c, table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
		add(c, forward, in("br"), out("br"), drop)
		// Nothing from the machine's side begins a conversation: not with a step, and not with
		// one in the router's own network, nor with the services there.
		add(c, forward, in(uplinkDevice), begins, drop)
		input := chain(c, table, "input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
		add(c, input, in(uplinkDevice), begins, drop)
	})
}

func chain(c *nftables.Conn, table *nftables.Table, name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return c.AddChain(&nftables.Chain{Table: table, Name: name, Type: kind, Hooknum: hook, Priority: priority})
}

// part is a condition or a verdict.
type part []expr.Any

func add(c *nftables.Conn, chain *nftables.Chain, parts ...part) {
	rule := &nftables.Rule{Table: chain.Table, Chain: chain}
	for _, p := range parts {
		rule.Exprs = append(rule.Exprs, p...)
	}
	c.AddRule(rule)
}

var (
	masquerade = part{&expr.Masq{}}
	drop       = part{&expr.Verdict{Kind: expr.VerdictDrop}}
	isIPv4     = protocol(unix.NFPROTO_IPV4)
	isIPv6     = protocol(unix.NFPROTO_IPV6)
	// begins matches the first packet of a conversation.
	begins = part{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
)

// in and out match devices whose name begins so.
func in(name string) part  { return device(expr.MetaKeyIIFNAME, expr.CmpOpEq, name) }
func out(name string) part { return device(expr.MetaKeyOIFNAME, expr.CmpOpEq, name) }

// notIn and notTo match devices whose name begins otherwise.
func notIn(name string) part { return device(expr.MetaKeyIIFNAME, expr.CmpOpNeq, name) }
func notTo(name string) part { return device(expr.MetaKeyOIFNAME, expr.CmpOpNeq, name) }

func device(key expr.MetaKey, op expr.CmpOp, name string) part {
	return part{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: []byte(name)}}
}

// protocol matches packets of a family of addresses.
func protocol(family byte) part {
	return part{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}}}
}

// not matches frames of another kind.
func not(etherType uint16) part {
	return part{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.BigEndian.PutUint16(etherType)},
	}
}

// from and to match addresses of a packet of IPv4. They stand at these offsets of its header.
func from(prefix netip.Prefix) part { return address(12, prefix) }
func to(prefix netip.Prefix) part   { return address(16, prefix) }

func address(offset uint32, prefix netip.Prefix) part {
	mask := make([]byte, 4)
	for i := range prefix.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return append(slices.Clone(isIPv4),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	)
}

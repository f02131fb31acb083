//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rules writes one table of packet rules in the namespace behind file.
func rules(file, name string, write func(c *nftables.Conn, table *nftables.Table)) error {
	return inside(file, func() error { return rulesHere(name, write) })
}

// rulesHere writes a table in the namespace of the calling thread.
func rulesHere(name string, write func(c *nftables.Conn, table *nftables.Table)) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("opening the packet filter: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: name}
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
	err := rules(u.host, u.name, nil)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// translate sets the machine's rules.
func (u *Uplink) translate(deny []netip.Prefix) error {
	return rules(u.host, u.name, func(c *nftables.Conn, table *nftables.Table) {
		nat := chain(c, table, "postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
		add(c, nat, from(uplinkNet), notTo(u.name), masquerade)
		forward := chain(c, table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
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
		// Nothing from the machine's side begins a conversation with a step.
		add(c, forward, in(uplinkDevice), begins, drop)
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

// notTo matches packets that leave by a device whose name begins otherwise.
func notTo(name string) part { return device(expr.MetaKeyOIFNAME, expr.CmpOpNeq, name) }

func device(key expr.MetaKey, op expr.CmpOp, name string) part {
	return part{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: []byte(name)}}
}

// from and to match addresses of a packet. They stand at these offsets of its header.
func from(prefix netip.Prefix) part { return address(12, prefix) }
func to(prefix netip.Prefix) part   { return address(16, prefix) }

func address(offset uint32, prefix netip.Prefix) part {
	mask := make([]byte, 4)
	for i := range prefix.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return part{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	}
}

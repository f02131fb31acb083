package egress

import (
	"bytes"
	"net/netip"
)

// Prefixes of addresses that networks translate into IPv4, or tunnel over it.
var (
	translated = netip.MustParsePrefix("64:ff9b::/96")    // NAT64, RFC 6052
	local      = netip.MustParsePrefix("64:ff9b:1::/48")  // NAT64 of a network's own making, RFC 8215
	stateless  = netip.MustParsePrefix("::ffff:0:0:0/96") // SIIT, RFC 2765
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// meanings are the IPv4 addresses that an IPv6 address may lead to: none for most, and
// several where the address does not say how it is to be read.
func meanings(addr netip.Addr) []netip.Addr {
	if !addr.Is6() || addr == netip.IPv6Unspecified() || addr == netip.IPv6Loopback() {
		return nil
	}
	raw := addr.As16()
	last := four(raw[12:])
	switch {
	case translated.Contains(addr), stateless.Contains(addr), compatible.Contains(addr), isatap(raw):
		return []netip.Addr{last}
	case sixToFour.Contains(addr):
		return []netip.Addr{four(raw[2:])}
	case teredo.Contains(addr): // a server, and a client whose bits are turned
		return []netip.Addr{four(raw[4:]), netip.AddrFrom4([4]byte{^raw[12], ^raw[13], ^raw[14], ^raw[15]})}
	case local.Contains(addr):
		return localMeanings(raw, last)
	}
	return nil
}

// isatap reports whether the lower half is of a tunnel (RFC 5214, 6.1), below any prefix.
func isatap(raw [16]byte) bool {
	return raw[8]&^3 == 0 && bytes.Equal(raw[9:12], []byte{0, 0x5e, 0xfe})
}

// localMeanings reads an address with each length of prefix that RFC 6052 (2.2) has and
// that fits, for only the network knows its own. The ninth byte is no part of it.
func localMeanings(raw [16]byte, last netip.Addr) []netip.Addr {
	all := []netip.Addr{last}
	for _, at := range [][4]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}} {
		if read := netip.AddrFrom4([4]byte{raw[at[0]], raw[at[1]], raw[at[2]], raw[at[3]]}); read.As4()[0] != 0 {
			all = append(all, read)
		}
	}
	return all
}

func four(raw []byte) netip.Addr { return netip.AddrFrom4([4]byte(raw[:4])) }

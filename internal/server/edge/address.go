package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks whose word counts about where a request comes from: by the
// PROXY protocol, X-Forwarded-For, or Forwarded (RFC 7239).
type Proxies []netip.Prefix

// inside are addresses that are never a proxy's: steps of runs come from there, whatever a
// prefix that was meant for a proxy has in it. They are those of the uplinks of runs, and
// the ones from which what steps send to the installation's hosts is passed on.
var inside = Proxies{netip.MustParsePrefix("100.127.0.0/16"), netip.MustParsePrefix("127.28.0.0/16")}

// trusts reports whether an address is a proxy's.
func (p Proxies) trusts(addr netip.Addr) bool { return p.has(addr) && !inside.has(addr) }

func (p Proxies) has(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// client is where a request comes from whose connection comes from peer, an address or
// ADDRESS:PORT: what the right-most proxy that is trusted has been told by somebody who is
// not. A proxy passes on those headers that it does not know, so a client could say in the
// other one what it likes; where both are there and differ, the proxy itself is the client.
func (p Proxies) client(peer string, head http.Header) string {
	addr, ok := parseAddress(peer)
	if !ok || !p.trusts(addr) {
		return peer
	}
	var found []netip.Addr
	if list := xForwardedFor(head); len(list) > 0 {
		found = append(found, p.walk(addr, list))
	}
	if list := forwarded(head); len(list) > 0 {
		found = append(found, p.walk(addr, list))
	}
	if len(found) == 0 || found[0] == addr || len(found) > 1 && found[0] != found[1] {
		return peer
	}
	return found[0].String()
}

// walk goes back from a proxy through those that it names, the last of whom told it, to the
// first that is not trusted. What is no address ("unknown", "_hidden") leads no further.
func (p Proxies) walk(addr netip.Addr, list []string) netip.Addr {
	for _, text := range slices.Backward(list) {
		if !p.trusts(addr) {
			break
		}
		before, ok := parseAddress(text)
		if !ok {
			break
		}
		addr = before
	}
	return addr
}

// maxHops bounds how many proxies are looked at.
const maxHops = 32

func xForwardedFor(head http.Header) []string {
	return last(strings.FieldsFunc(strings.Join(head.Values("X-Forwarded-For"), ","),
		func(r rune) bool { return r == ',' }))
}

// forwarded are the nodes of the parameters "for" (RFC 7239, section 4). A quoted value has
// no comma or semicolon in it if it is an address.
func forwarded(head http.Header) []string {
	var nodes []string
	for element := range strings.SplitSeq(strings.Join(head.Values("Forwarded"), ","), ",") {
		for pair := range strings.SplitSeq(element, ";") {
			name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if ok && strings.EqualFold(name, "for") {
				nodes = append(nodes, strings.Trim(value, `"`))
			}
		}
	}
	return last(nodes)
}

func last(list []string) []string { return list[max(0, len(list)-maxHops):] }

// parseAddress reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:80.
func parseAddress(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if both, err := netip.ParseAddrPort(text); err == nil {
		return both.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return addr.Unmap().WithZone(""), err == nil
}

// Address is what is counted under for a remote address, with or without a port: of an IPv6
// address the half that a provider gives to one customer.
func Address(remote string) string {
	addr, ok := parseAddress(remote)
	if !ok {
		return remote
	}
	if addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64) // 64 fits every IPv6 address
	return prefix.String()
}

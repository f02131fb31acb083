package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/acrux/acrux/internal/server/edge"
)

// leastShare is what an address may have of the connections if nothing is configured: so
// many come from behind one address that many use.
const leastShare = 100

func (l *LimitsConfig) complete() {
	if l.Connections == 0 {
		l.Connections = 10_000
	}
	if l.PerAddress == 0 {
		l.PerAddress = max(l.Connections/10, leastShare)
	}
	if l.Stall == 0 {
		l.Stall = 2 * time.Minute
	}
	if l.LeastRate == 0 {
		l.LeastRate = 1000
	}
	if l.AnonymousBody == 0 {
		l.AnonymousBody = 30 * time.Second
	}
}

func (l *LimitsConfig) check() error {
	for _, limit := range []struct {
		key   string
		value int64
	}{{"connections", int64(l.Connections)}, {"perAddress", int64(l.PerAddress)}, {"leastRate", int64(l.LeastRate)},
		{"stall", int64(l.Stall)}, {"anonymousBody", int64(l.AnonymousBody)}} {
		if limit.value < 0 {
			return fmt.Errorf("limits.%s is negative", limit.key)
		}
	}
	return nil
}

// proxies parses TrustedProxies: prefixes, or single addresses.
func (c *Config) proxies() (edge.Proxies, error) {
	var all edge.Proxies
	for _, text := range c.TrustedProxies {
		if addr, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trustedProxies: %q is neither an address nor a network like 192.0.2.0/24", text)
		}
		all = append(all, prefix)
	}
	return all, nil
}

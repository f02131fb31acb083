package daemon

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Limits have defaults, and what is wrong with them is told by the key.
func TestLimits(t *testing.T) {
	c := Config{Data: "x"}
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	if want := (LimitsConfig{Connections: 10_000, PerAddress: 1000, LeastRate: 1000, Stall: 2 * time.Minute,
		AnonymousBody: 30 * time.Second}); c.Limits != want {
		t.Errorf("%+v", c.Limits)
	}
	for want, wrong := range map[string]Config{
		"limits.perAddress":    {Limits: LimitsConfig{PerAddress: -1}},
		"limits.leastRate":     {Limits: LimitsConfig{LeastRate: -1}},
		"limits.stall":         {Limits: LimitsConfig{Stall: -1}},
		"limits.anonymousBody": {Limits: LimitsConfig{AnonymousBody: -1}},
		"limits.connections":   {Limits: LimitsConfig{Connections: -1}},
		"trustedProxies":       {TrustedProxies: []string{"10.0.0.1", "proxy.example.org"}},
	} {
		wrong.Data = "x"
		if err := wrong.Complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	c := Config{TrustedProxies: []string{"10.0.0.1", "fd00::/8"}}
	all, err := c.proxies()
	if err != nil || len(all) != 2 || all[0] != netip.MustParsePrefix("10.0.0.1/32") ||
		all[1] != netip.MustParsePrefix("fd00::/8") {
		t.Errorf("%v, %v", all, err)
	}
}

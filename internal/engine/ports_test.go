package engine_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/engine"
)

func TestParsePorts(t *testing.T) {
	at := netip.MustParseAddrPort
	for entry, want := range map[string][]engine.Port{
		"80":                    {{"tcp", at("0.0.0.0:0"), 80}},
		"53/udp":                {{"udp", at("0.0.0.0:0"), 53}},
		"8080:80":               {{"tcp", at("0.0.0.0:8080"), 80}},
		"127.0.0.1:8080:80/tcp": {{"tcp", at("127.0.0.1:8080"), 80}},
		"127.0.0.1::80":         {{"tcp", at("127.0.0.1:0"), 80}},
		"[::1]:8080:80":         {{"tcp", at("[::1]:8080"), 80}},
		"90-91:80-81":           {{"tcp", at("0.0.0.0:90"), 80}, {"tcp", at("0.0.0.0:91"), 81}},
		"80-81":                 {{"tcp", at("0.0.0.0:0"), 80}, {"tcp", at("0.0.0.0:0"), 81}},
		"1:2:3:4":               nil, "": nil, "0": nil, "65536": nil, "80/sctp": nil, "80/": nil, "x:80": nil, "80:x": nil, "host:80:80": nil,
		"90-91:80": nil, "9-8": nil, "-1": nil, "1-300": nil, "80:": nil, "+80": nil, " 80": nil,
	} {
		got, err := engine.ParsePorts([]string{entry})
		if (err == nil) != (want != nil) || err == nil && !cmp.Equal(got, want, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
			t.Errorf("%q: %v, %v, want %v", entry, got, err, want)
		}
	}
}

package edge

import (
	"net/http"
	"net/netip"
	"testing"
)

var proxies = Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// What headers say about where a request comes from counts from proxies alone, and of it
// what the last of them was told by somebody else.
func TestClient(t *testing.T) {
	for _, test := range []struct{ name, peer, xff, forwarded, want string }{
		{"direct", "192.0.2.1:5", "", "", "192.0.2.1:5"},
		{"a stranger's word", "192.0.2.1:5", "198.51.100.1", "for=198.51.100.1", "192.0.2.1:5"},
		{"a proxy without headers", "10.0.0.1:5", "", "", "10.0.0.1:5"},
		{"through a proxy", "10.0.0.1:5", "198.51.100.1", "", "198.51.100.1"},
		{"with a port", "10.0.0.1:5", "198.51.100.1:99", "", "198.51.100.1"},
		{"a client that lies", "10.0.0.1:5", "203.0.113.9, 198.51.100.1", "", "198.51.100.1"},
		{"two proxies", "10.0.0.1:5", "203.0.113.9, 198.51.100.1, 10.0.0.2", "", "198.51.100.1"},
		{"only proxies", "10.0.0.1:5", "10.0.0.3, 10.0.0.2", "", "10.0.0.3"},
		{"an address that is none", "10.0.0.1:5", "198.51.100.1, nonsense", "", "10.0.0.1:5"},
		{"one behind a proxy that is none", "10.0.0.1:5", "198.51.100.1, nonsense, 10.0.0.2", "", "10.0.0.2"},
		{"Forwarded", "10.0.0.1:5", "", `for=203.0.113.9;proto=https, By=10.0.0.1; For="198.51.100.1:80"`, "198.51.100.1"},
		{"Forwarded by IPv6", "[fd00::1]:5", "", `for="[2001:db8::7]:4711"`, "2001:db8::7"},
		{"hidden", "10.0.0.1:5", "", "for=_hidden", "10.0.0.1:5"},
		{"unknown", "10.0.0.1:5", "", "for=unknown", "10.0.0.1:5"},
		{"both, the same", "10.0.0.1:5", "198.51.100.1", "for=198.51.100.1", "198.51.100.1"},
		{"both, one of them a client's", "10.0.0.1:5", "198.51.100.1", "for=203.0.113.9", "10.0.0.1:5"},
		{"mapped", "[::ffff:10.0.0.1]:5", "::ffff:198.51.100.1", "", "198.51.100.1"},
		{"a step of a run", "127.28.3.4:5", "198.51.100.1", "", "127.28.3.4:5"},
		{"a step through its uplink", "100.127.0.6:5", "198.51.100.1", "", "100.127.0.6:5"},
		{"a step behind a proxy", "10.0.0.1:5", "198.51.100.1, 100.127.0.6", "", "100.127.0.6"},
		{"no address", "pipe", "198.51.100.1", "", "pipe"},
	} {
		head := http.Header{}
		if test.xff != "" {
			head.Set("X-Forwarded-For", test.xff)
		}
		if test.forwarded != "" {
			head.Set("Forwarded", test.forwarded)
		}
		if got := proxies.client(test.peer, head); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// An address counts without its port, one of IPv6 with those that a customer gets with it.
func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:5": "192.0.2.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "[fe80::1%eth0]:5": "fe80::/64", "pipe": "pipe", "": "",
	} {
		if got := Address(remote); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

// FuzzClient: whatever headers say, what comes out is the peer or an address.
func FuzzClient(f *testing.F) {
	f.Add("198.51.100.1, 10.0.0.2", `for="[2001:db8::7]:4711"`)
	f.Add(",,,", "for=;for==,")
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		got := proxies.client("10.0.0.1:5", http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded}})
		if _, ok := parseAddress(got); !ok {
			t.Errorf("%q and %q: %q", xff, forwarded, got)
		}
	})
}

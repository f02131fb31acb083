package loginapi

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// What a token is asked for is one of the scopes without its end, or the resource, and
// the same when it is read again.
func FuzzTarget(f *testing.F) {
	for _, seed := range [][2]string{{"https://x/.default openid", ""}, {"https://x//.default", ""}, {"openid", "https://x/"}, {"/.default", ""}, {"a/.default/.default\tb", "c"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, scope, resource string) {
		form := url.Values{"scope": {scope}, "resource": {resource}}
		got, err := targetOf(form)
		if err != nil {
			return
		}
		if got.audience == "" || len(got.audience) > maxAudience || got.v1 != (got.audience == resource && !slices.Contains(strings.Fields(scope), resource+"/.default")) {
			t.Errorf("%q and %q: %+v", scope, resource, got)
		}
		if again, err := targetOf(url.Values{"scope": {got.audience + "/.default"}}); !strings.ContainsFunc(got.audience, isSpace) && (err != nil || again.audience != got.audience) {
			t.Errorf("%q is read as %q, %v", got.audience, again.audience, err)
		}
	})
}

func isSpace(r rune) bool { return strings.TrimSpace(string(r)) == "" }

// Whatever the address, attempts are counted by something.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:1", "[::1]:1", "[fe80::1%eth0]:1", "x", "", "[::ffff:1.2.3.4]:1", "[2001:db8::1]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, remote string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		if got := address(r); got == "" && remote != "" && !strings.HasPrefix(remote, ":") && !strings.HasPrefix(remote, "[]") {
			t.Errorf("%q is counted by nothing", remote)
		}
	})
}

func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{"127.0.0.1:5": "127.0.0.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64", "[fe80::1%eth0]:5": "fe80::/64", "[::ffff:10.0.0.1]:5": "::ffff:10.0.0.1", "pipe": "pipe"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		if got := address(r); got != want {
			t.Errorf("%s: %s", remote, got)
		}
	}
}

package loginapi

import (
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

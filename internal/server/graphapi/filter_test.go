package graphapi

import (
	"strings"
	"testing"
)

// What a filter understands means what it says, and the rest is an error.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"", "id eq 'x'", "id eq 'x''y' and list/any(c:c eq 'and')", "startswith(id,'x') or id in ('a', 'b')", "ok eq true", "id eq 'a' or", "'", " and ", "id eq ''' or '''"} {
		f.Add(seed, "x")
	}
	f.Fuzz(func(t *testing.T, source, value string) {
		properties := map[string]any{"id": value, "ok": true, "list": []string{value}}
		known := []string{"id", "ok", "list"}
		if fits, _, err := parseFilter(source, known); err == nil {
			fits(properties) // must not panic
		}
		quoted := "'" + strings.ReplaceAll(value, "'", "''") + "'"
		for _, source := range []string{"id eq " + quoted, "startswith(id," + quoted + ")", "list/any(x:x eq " + quoted + ")", "id in (" + quoted + ")", "id eq " + quoted + " and ok eq true", "ok eq false or id eq " + quoted} {
			fits, _, err := parseFilter(source, known)
			if err != nil || !fits(properties) {
				t.Errorf("%s does not fit itself: %v", source, err)
			}
		}
		other := map[string]any{"id": value + "x", "ok": true, "list": []string{value + "x"}}
		if fits, _, err := parseFilter("id eq "+quoted+" and list/any(x:x eq "+quoted+")", known); err != nil || fits(other) {
			t.Errorf("%s fits another: %v", quoted, err)
		}
	})
}

package repotoken

import (
	"slices"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
)

// What actions permit: a name is that repository alone, and an asterisk stands for one or
// more whole segments.
func TestAllow(t *testing.T) {
	tests := []struct {
		action   string
		allowed  []string
		rejected []string
	}{
		{"repositories/a/content/read", []string{"a"}, []string{"a/b", "ab", "b", "b/a", ""}},
		{"repositories/a/b/content/read", []string{"a/b"}, []string{"a", "a/b/c", "a/bc", "b"}},
		{"repositories/a/*/content/read", []string{"a/b", "a/b/c"}, []string{"a", "ab", "ab/c", "b/a/c", "b"}},
		{"repositories/a/b/*/content/read", []string{"a/b/c", "a/b/c/d"}, []string{"a/b", "a/c", "a", "x/a/b/c"}},
		{"repositories/*/content/read", []string{"a", "a/b", "content/read"}, nil},
		{"Repositories/A/Content/Read", []string{"a"}, []string{"A"}},
		{"repositories/content/read/content/read", []string{"content/read"}, []string{"content", "read"}},
		{"repositories/a/content/write", nil, []string{"a"}},
		{"repositories/a/metadata/read", nil, []string{"a"}},
	}
	for _, tt := range tests {
		actions, err := checkActions([]string{tt.action, tt.action})
		if err != nil || len(actions) != 1 {
			t.Fatalf("%s: %v, %v", tt.action, actions, err)
		}
		p := newPermissions(actions)
		for _, name := range tt.allowed {
			if !p.Allow(name, ContentRead) {
				t.Errorf("%s does not permit reading %s", tt.action, name)
			}
		}
		for _, name := range tt.rejected {
			if p.Allow(name, ContentRead) {
				t.Errorf("%s permits reading %s", tt.action, name)
			}
		}
		for _, verb := range verbs {
			if !strings.HasSuffix(strings.ToLower(tt.action), string(verb)) && p.Allow("a", verb) {
				t.Errorf("%s permits %s", tt.action, verb)
			}
		}
	}
}

func TestVisible(t *testing.T) {
	p := newPermissions([]string{"repositories/read/content/read", "repositories/meta/metadata/read", "repositories/write/content/write", "repositories/delete/content/delete", "repositories/change/metadata/write"})
	for name, want := range map[string]bool{"read": true, "meta": true, "write": false, "delete": false, "change": false, "other": false} {
		if p.Visible(name) != want {
			t.Errorf("%s is visible: %t", name, !want)
		}
	}
}

func TestBadActions(t *testing.T) {
	for _, action := range []string{
		"", "/", "repositories", "repositories/", "repositories//content/read", "repositories/content/read", "repositories/a", "repositories/a/content", "repositories/a/content/", "repositories/a/content/execute",
		"repositories/a/read", "repositories/a/content/read/", " repositories/a/content/read", "repositories/a /content/read", "repositories/../content/read", "repositories/a/../b/content/read", "repositories/a//b/content/read",
		"repositories/**/content/read", "repositories/a*/content/read", "repositories/*a/content/read", "repositories/a/*/b/content/read", "repositories/a/*/*/content/read", "repositories/*/*/content/read", "repositories/*/a/content/read", "repositories//*/content/read",
		"repositories/a/content/*", "repositories/a/*", "repositories/*", "*", "*/a/content/read", "registry/catalog/content/read", "repositories/a%2fb/content/read", "repositories/a\x00/content/read", "repositories/а/content/read",
		"repositories/a:b/content/read", "repositories/" + strings.Repeat("a", 300) + "/content/read", "repositories/a/content/read repositories/b/content/read",
	} {
		if actions, err := checkActions([]string{"repositories/good/content/read", action}); !problem.Is(err, problem.Invalid) {
			t.Errorf("%q became %v, %v", action, actions, err)
		}
	}
	for _, action := range []string{"gateway/x/config/read", "Gateway/x/message/write", "gateway"} {
		if _, err := checkActions([]string{action}); !problem.Is(err, problem.Unsupported) || !strings.Contains(err.Error(), action) {
			t.Errorf("%q: %v", action, err)
		}
	}
	if _, err := checkActions(slices.Repeat([]string{"repositories/a/content/read"}, maxActions+1)); !problem.Is(err, problem.Invalid) {
		t.Error(err)
	}
}

// An action that is accepted permits what it names, and nothing outside of it.
func FuzzAction(f *testing.F) {
	f.Add("repositories/a/*/content/read", "a/b")
	f.Add("repositories/*/metadata/write", "a")
	f.Add("repositories/a/content/delete", "b")
	f.Fuzz(func(t *testing.T, action, repository string) {
		checked, err := checkActions([]string{action})
		if err != nil {
			return
		}
		rest, _ := strings.CutPrefix(checked[0], "repositories/")
		for _, verb := range verbs {
			target, ok := strings.CutSuffix(rest, "/"+string(verb))
			inside := target == "*" || target == repository || strings.HasSuffix(target, "/*") && strings.HasPrefix(repository, strings.TrimSuffix(target, "*"))
			if newPermissions(checked).Allow(repository, verb) != (ok && inside) {
				t.Errorf("%q, %s on %q: %t", checked[0], verb, repository, !(ok && inside))
			}
		}
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"mytoken": true, "my-token_1": true, "four": false, "": false, strings.Repeat("a", 50): true, strings.Repeat("a", 51): false,
		"my.token": false, "my/token": false, "tökens": false, "11111111-2222-3333-4444-555555555555": false, "11111111222233334444555555555555": false, "11111111-2222-3333-4444-55555555555x": true} {
		if CanName(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}

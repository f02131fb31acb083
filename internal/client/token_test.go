package client

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

func nothing(http.ResponseWriter, *http.Request) {}

// A token is kept for the next command, in a file for its owner alone.
func TestTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config", "tokens.json")
	c := serve(t, nothing)
	c.tokens.file = file
	first, err := c.Token(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "opensesame") {
		t.Errorf("the file has the secret, or cannot be read: %v", err)
	}
	next, err := New(Profile{Authority: c.Authority, ClientID: c.ClientID, Address: "127.0.0.1:1"}, file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := next.Token(t.Context(), "a"); err != nil || got != first {
		t.Errorf("the next command has %q, %v", got, err)
	}
	if _, err := next.Token(t.Context(), "b"); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("a token for another audience without a secret: %v", err)
	}
}

func TestTokenCache(t *testing.T) {
	soon, later := time.Now().Add(spare/2).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)
	entry := func(expires string) string { return `{"k":{"token":"t","expires":"` + expires + `"}}` }
	tests := []struct {
		name, in string
		want     bool
	}{
		{"good", entry(later), true},
		{"ends soon", entry(soon), false},
		{"has ended", entry("2020-01-01T00:00:00Z"), false},
		{"broken", entry(later)[:20], false},
		{"null", "null", false},
		{"a list", "[1]", false},
		{"empty", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tokens.json")
			write(t, file, tt.in)
			cache := &tokenCache{file: file}
			if _, ok := cache.get("k"); ok != tt.want {
				t.Errorf("a token: %v, want %v", ok, tt.want)
			}
			cache.put("new", "n", time.Now().Add(time.Hour)) // whatever was there before
			if got, ok := (&tokenCache{file: file}).get("new"); !ok || got != "n" {
				t.Errorf("after writing it has %q, %v", got, ok)
			}
		})
	}
}

// A cache that cannot be written costs time and nothing else.
func TestTokenCacheReadOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "not a folder")
	c := serve(t, nothing)
	c.tokens.file = filepath.Join(file, "tokens.json")
	if _, err := c.Token(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

func TestTokensAtOnce(t *testing.T) {
	c := serve(t, nothing)
	c.tokens.file = filepath.Join(t.TempDir(), "tokens.json")
	var all sync.WaitGroup
	for _, audience := range strings.Fields("a b c a b c") {
		all.Go(func() {
			if got, err := c.Token(t.Context(), audience); err != nil || got != "token for "+audience+"/.default" {
				t.Errorf("%s: %q, %v", audience, got, err)
			}
		})
	}
	all.Wait()
}

func TestNotSignedIn(t *testing.T) {
	for name, p := range map[string]Profile{"nobody": {}, "no secret": {ClientID: "me"}, "no ID": {Secret: secret.New("x")}} {
		c, err := New(p, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Token(t.Context(), "a"); !problem.Is(err, problem.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

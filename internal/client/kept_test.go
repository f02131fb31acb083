package client

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A token that is kept is used while it counts.
func TestKeptTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "tokens.json")
		(&tokenCache{file: file, all: map[string]cached{}}).put("key", "token", time.Now().Add(time.Hour))
		kept := func() bool {
			_, ok := (&tokenCache{file: file}).get("key")
			return ok
		}
		if !kept() {
			t.Error("a new token does not count")
		}
		time.Sleep(time.Hour - spare)
		if kept() {
			t.Error("a token counts until it expires")
		}
	})
}

// After a clock was set back a token may be from the future, where no server takes it.
func TestTokenFromTheFuture(t *testing.T) {
	now := time.Now()
	c := cached{Token: "token", Since: now.Add(time.Hour), Expires: now.Add(2 * time.Hour)}
	if c.counts(now) {
		t.Error("it counts")
	}
	if c.Since = now.Add(time.Second); !c.counts(now) {
		t.Error("a clock that is a little slow makes tokens useless")
	}
	c.Since = time.Time{} // of a cache that another version wrote
	if !c.counts(now) {
		t.Error("a token without a beginning does not count")
	}
}

package registryapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A registry has so many requests a minute, one identity half of them, and the wait gets
// shorter as the minute passes.
func TestLimiter(t *testing.T) {
	l, err := NewLimiter("premium")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	spend := func(registry, who string, class class) (n int) {
		for wait := time.Duration(0); wait == 0; n++ {
			wait, _ = l.take(registry, who, class, now)
		}
		return n - 1
	}
	if n := spend("a", "me", listings); n != 1000 {
		t.Errorf("one identity made %d requests", n)
	}
	if n := spend("a", "you", listings) + spend("a", "she", listings); n != 1000 {
		t.Errorf("the others made %d", n)
	}
	for at, want := range map[time.Duration]time.Duration{0: time.Minute, 20 * time.Second: 40 * time.Second, 59 * time.Second: time.Second} {
		if wait, limit := l.take("a", "me", listings, now.Add(at)); wait != want || limit != 1000 {
			t.Errorf("after %v: wait %v, limit %d", at, wait, limit)
		}
	}
	if wait, limit := l.take("a", "they", listings, now); wait != time.Minute || limit != 2000 {
		t.Errorf("one more: wait %v, limit %d", wait, limit)
	}
	if n := spend("a", "me", deletes) + spend("b", "me", listings); n != 3000 {
		t.Errorf("what is counted elsewhere: %d", n)
	}
	now = now.Add(time.Minute)
	if n := spend("a", "me", listings); n != 1000 {
		t.Errorf("in the next minute: %d", n)
	}
	if len(l.windows) != 2 {
		t.Errorf("%d windows are kept", len(l.windows))
	}
	if _, err := NewLimiter("gold"); err == nil || !strings.Contains(err.Error(), "basic, premium, standard") {
		t.Error(err)
	}
}

func TestClass(t *testing.T) {
	for _, test := range []struct {
		method, path string
		want         class
	}{
		{http.MethodGet, "/v2/", reads}, {http.MethodHead, "/v2/a/manifests/v1", reads}, {http.MethodGet, "/acr/v1/a/_tags", reads},
		{http.MethodPut, "/v2/a/manifests/v1", writes}, {http.MethodPost, "/v2/a/blobs/uploads/", writes}, {http.MethodPatch, "/acr/v1/a", writes},
		{http.MethodDelete, "/v2/a/manifests/v1", deletes}, {http.MethodDelete, "/acr/v1/a/_tags/v1", deletes},
		{http.MethodGet, "/v2/a/referrers/sha256:x", listings}, {http.MethodPost, "/oauth2/exchange", signIns}, {http.MethodGet, "/oauth2/token", signIns},
	} {
		if got := parse(test.path).class(test.method); got != test.want {
			t.Errorf("%s %s is counted as %s", test.method, test.path, got)
		}
	}
}

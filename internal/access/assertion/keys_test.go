package assertion

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// web answers requests without a network: URL to status and body.
type web struct {
	pages map[string]string
	asked int
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.asked++
	body, ok := w.pages[r.URL.String()]
	status := http.StatusOK
	if !ok {
		status, body = http.StatusNotFound, "{}"
	}
	header := http.Header{}
	if target, moved := strings.CutPrefix(body, "moved to "); moved {
		status = http.StatusFound
		header.Set("Location", target)
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func keySet(t *testing.T, ids ...string) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, id := range ids {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	issuerURL     = "https://issuer.test/a"
	configuration = issuerURL + "/.well-known/openid-configuration"
)

func newWeb(t *testing.T) *web {
	return &web{pages: map[string]string{configuration: `{"issuer":"` + issuerURL + `","jwks_uri":"https://keys.test/k"}`, "https://keys.test/k": keySet(t, "one")}}
}

// Keys are kept for a while, fetched again when one is missing, but not at once, and used
// on when the issuer does not answer.
func TestKeysAreKept(t *testing.T) {
	w := newWeb(t)
	k, now := NewKeys(w), time.Unix(1000, 0)
	get := func(kid string, want error, asked int) {
		t.Helper()
		w.asked = 0
		if _, err := k.Get(t.Context(), issuerURL, kid, now); !errors.Is(err, want) {
			t.Errorf("%s: %v", kid, err)
		}
		if w.asked != asked {
			t.Errorf("%s: %d requests", kid, w.asked)
		}
	}
	get("one", nil, 2)
	get("one", nil, 0)
	get("", nil, 0)
	get("two", ErrInvalid, 0)
	w.pages["https://keys.test/k"] = keySet(t, "one", "two")
	now = now.Add(retryAfter)
	get("two", nil, 2)
	delete(w.pages, configuration)
	now = now.Add(keysFresh)
	get("two", nil, 1)
	get("three", ErrKeys, 0)
	get("two", nil, 0)
	now = now.Add(keysStale)
	get("two", ErrKeys, 1)
	get("two", ErrKeys, 0)
}

// What an issuer answers is bounded and checked.
func TestKeysRefused(t *testing.T) {
	for name, change := range map[string]map[string]string{
		"nothing":                     {configuration: "{}"},
		"no JSON":                     {configuration: "<html>"},
		"another issuer":              {configuration: `{"issuer":"https://other.test","jwks_uri":"https://keys.test/k"}`},
		"keys over http":              {configuration: `{"issuer":"` + issuerURL + `","jwks_uri":"http://keys.test/k"}`},
		"keys in a file":              {configuration: `{"issuer":"` + issuerURL + `","jwks_uri":"file:///etc/passwd"}`},
		"keys with a password":        {configuration: `{"issuer":"` + issuerURL + `","jwks_uri":"https://a:b@keys.test/k"}`},
		"moved":                       {configuration: "moved to https://keys.test/k"},
		"a large one":                 {configuration: `{"issuer":"` + strings.Repeat("x", maxDocument) + `"}`},
		"no keys":                     {"https://keys.test/k": `{"keys":[]}`},
		"keys of another sort":        {"https://keys.test/k": `{"keys":[{"kty":"oct","k":"eHh4"},{"kty":"new"},7,null]}`},
		"keys that are no list":       {"https://keys.test/k": `{"keys":{}}`},
		"many keys":                   {"https://keys.test/k": `{"keys":[` + strings.Repeat(`{"kty":"new"},`, maxKeys) + `{}]}`},
		"a key that is not on a line": {"https://keys.test/k": `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`},
	} {
		w := newWeb(t)
		for address, body := range change {
			w.pages[address] = body
		}
		if _, err := NewKeys(w).Get(t.Context(), issuerURL, "", time.Now()); !errors.Is(err, ErrKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// How many issuers are kept is bounded, and a request that goes away takes nothing along.
func TestKeysBounded(t *testing.T) {
	k := NewKeys(newWeb(t))
	for i := range maxIssuers + 50 {
		if _, err := k.Get(t.Context(), fmt.Sprintf("https://%d.test", i), "", time.Now()); !errors.Is(err, ErrKeys) {
			t.Fatal(err)
		}
	}
	if len(k.issuers) > maxIssuers {
		t.Errorf("%d issuers are kept", len(k.issuers))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Get(ctx, issuerURL, "one", time.Now()); err != nil {
		t.Error(err)
	}
}

// Whatever an issuer sends as its keys, it is read or refused.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{`{"kty":"RSA","n":"AQAB","e":"AQAB"}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA","use":"sig"}`, `{"kty":"OKP","crv":"Ed25519","x":"AA"}`, `null`, `{"x5c":["AA"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys([]json.RawMessage{text})
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys and %v", len(keys), err)
		}
	})
}

package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
)

// keys is a KeyStore in memory.
type keys map[string][]byte

func (k keys) SigningKeys(context.Context) (map[string][]byte, error) { return k, nil }

func (k keys) PutSigningKey(_ context.Context, id string, sealed []byte, _ time.Time) error {
	k[id] = sealed
	return nil
}

func issuer(t *testing.T, store keys, url string) *token.Issuer {
	t.Helper()
	sealer, err := secret.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	is, err := token.Open(t.Context(), store, sealer, "tenant", url, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return is
}

const url = "https://login.test/tenant/"

var person = identity.Principal{ObjectID: "object", ClientID: "client", Resource: "/x"}

var user = identity.Principal{ObjectID: "user", ClientID: "program", Kind: identity.User, UserName: "anna@test", DisplayName: "Anna"}

func must(t *testing.T, text string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every kind of token opens its own door and no other.
func TestKinds(t *testing.T) {
	is := issuer(t, keys{}, url)
	now := time.Now()
	subject := token.Subject{Principal: "object", Run: "run"}
	access := []oci.Access{oci.RepositoryAccess("hello", oci.Pull)}
	make := func(text string, err error) string { return must(t, text, err) }
	tokens := map[string]string{
		"identity":          make(is.Identity(person, "https://arm.test", now, time.Hour)),
		"identity, slash":   make(is.Identity(person, "https://arm.test/", now, time.Hour)),
		"identity, other":   make(is.Identity(person, "https://graph.test", now, time.Hour)),
		"identity, name":    make(is.Identity(person, "reg", now, time.Hour)),
		"identity, expired": make(is.Identity(person, "https://arm.test", now.Add(-2*time.Hour), time.Hour)),
		"identity, early":   make(is.Identity(person, "https://arm.test", now.Add(time.Hour), time.Hour)),
		"user":              make(is.Identity(user, "https://arm.test", now, time.Hour)),
		"ID":                make(is.ID(user, "https://arm.test", now, time.Hour)),
		"refresh":           make(is.Refresh("reg", subject, now, time.Hour)),
		"refresh, other":    make(is.Refresh("reg2", subject, now, time.Hour)),
		"refresh, expired":  make(is.Refresh("reg", subject, now.Add(-2*time.Hour), time.Hour)),
		"access":            make(is.Access("reg", subject, access, now)),
		"access, other":     make(is.Access("reg2", subject, access, now)),
		"another issuer":    make(issuer(t, keys{}, url).Access("reg", subject, access, now)),
		"rubbish":           "a.b.c",
		"nothing":           "",
	}
	doors := map[string]func(string) error{
		"identity": func(text string) error {
			_, err := is.VerifyIdentity(t.Context(), text, []string{"https://arm.test", "https://other.test"})
			return err
		},
		"refresh": func(text string) error { _, err := is.VerifyRefresh(t.Context(), text, "reg"); return err },
		"access":  func(text string) error { _, _, err := is.VerifyAccess(t.Context(), text, "reg"); return err },
	}
	opens := map[string]string{"identity": "identity", "identity, slash": "identity", "user": "identity", "refresh": "refresh", "access": "access"}
	for name, text := range tokens {
		for door, open := range doors {
			err := open(text)
			switch {
			case opens[name] == door && err != nil:
				t.Errorf("%s does not open %s: %v", name, door, err)
			case opens[name] != door && !errors.Is(err, token.ErrInvalid) && !errors.Is(err, token.ErrExpired):
				t.Errorf("%s at %s: %v", name, door, err)
			case strings.HasSuffix(name, "expired") && !errors.Is(err, token.ErrExpired):
				t.Errorf("%s at %s: %v", name, door, err)
			}
		}
	}
	if err := doors["identity"](tokens["identity, other"]); !errors.Is(err, token.ErrWrongAudience) {
		t.Errorf("a token for another audience: %v", err)
	}
	got, granted, err := is.VerifyAccess(t.Context(), tokens["access"], "reg")
	if diff := cmp.Diff([]any{subject, access, nil}, []any{got, granted, err}); diff != "" {
		t.Error(diff)
	}
}

// A token whose parts are changed, or signed in another way, is none.
func TestTampered(t *testing.T) {
	store := keys{}
	is := issuer(t, store, url)
	text, err := is.Identity(person, "a", time.Now(), time.Hour)
	good := must(t, text, err)
	text, err = issuer(t, store, "https://evil.test/").Identity(person, "a", time.Now(), time.Hour)
	elsewhere := must(t, text, err)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(claims), `"object"`, `"objecu"`, -1)
	forged := map[string]string{
		"other claims":   parts[0] + "." + encode([]byte(other)) + "." + parts[2],
		"no signature":   parts[0] + "." + parts[1] + ".",
		"none":           encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".",
		"hmac":           hmacToken(t, claims),
		"cut":            good[:len(good)-4],
		"another issuer": elsewhere,
	}
	for name, text := range forged {
		if _, err := is.VerifyIdentity(t.Context(), text, []string{"a"}); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hmacToken signs claims with the letters of a name in place of a key.
func hmacToken(t *testing.T, claims []byte) string {
	t.Helper()
	var body jwt.MapClaims
	if err := json.Unmarshal(claims, &body); err != nil {
		t.Fatal(err)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, body).SignedString([]byte("key"))
	return must(t, text, err)
}

// The published keys verify the tokens, with any library; reopening keeps them.
func TestJWKS(t *testing.T) {
	store := keys{}
	text, err := issuer(t, store, url).Identity(person, "a", time.Now(), time.Hour)
	text = must(t, text, err)
	again := issuer(t, store, url)
	if _, err := again.VerifyIdentity(t.Context(), text, []string{"a"}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	set, err := again.JWKS()
	if err != nil || len(set["keys"]) != 1 {
		t.Fatal(set, err)
	}
	key := set["keys"][0]
	parsed, err := jwt.Parse(text, func(tok *jwt.Token) (any, error) {
		if tok.Header["kid"] != key.ID {
			t.Errorf("the key is %v", tok.Header["kid"])
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, bytesOf(t, key.X), bytesOf(t, key.Y)))
	})
	if err != nil || !parsed.Valid {
		t.Fatal(err)
	}
	claims := parsed.Claims.(jwt.MapClaims)
	for name, want := range map[string]string{"aud": "a", "iss": url, "tid": "tenant", "oid": "object", "sub": "object", "appid": "client", "idtyp": "app", "xms_mirid": "/x"} {
		if claims[name] != want {
			t.Errorf("%s is %v", name, claims[name])
		}
	}
	for _, name := range []string{"exp", "iat", "nbf"} {
		if _, ok := claims[name].(float64); !ok {
			t.Errorf("%s is %v", name, claims[name])
		}
	}
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A data directory whose master key was changed says so instead of making new keys.
func TestWrongMasterKey(t *testing.T) {
	store := keys{}
	issuer(t, store, url)
	sealer, err := secret.NewSealer([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Open(t.Context(), store, sealer, "tenant", url, time.Now()); err == nil {
		t.Error("keys of another installation were opened")
	}
}

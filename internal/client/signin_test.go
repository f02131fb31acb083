package client

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// idToken is an ID token of a user, signed by nobody.
func idToken(t *testing.T, name string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"preferred_username": name}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A user signs in once; after that his refresh token does, also in another process.
func TestSignInUser(t *testing.T) {
	id := idToken(t, "ada@acrux.localhost")
	grants := []string{}
	c := serveAll(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		grant := r.FormValue("grant_type")
		grants = append(grants, grant)
		if grant == "password" && r.FormValue("password") != "right" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"AADSTS50126: no"}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":"%s for %s","expires_in":3600,"refresh_token":"r%d","id_token":%q}`,
			r.FormValue("refresh_token"), strings.Fields(r.FormValue("scope"))[0], len(grants), id)
	}))
	file := filepath.Join(t.TempDir(), "tokens.json")
	c.Method, c.ClientID, c.UserName, c.tokens = ByUser, "", "ADA@acrux.localhost", &tokenCache{file: file}
	if err := c.SignInUser(t.Context(), secret.New("wrong")); !problem.Is(err, problem.Invalid) {
		t.Errorf("a wrong password: %v", err)
	}
	if err := c.SignInUser(t.Context(), secret.New("right")); err != nil || c.UserName != "ada@acrux.localhost" {
		t.Fatalf("%v, as %s", err, c.UserName)
	}
	again := *c
	again.tokens = &tokenCache{file: file}
	for _, want := range []string{"r2 for a/.default", "r3 for b/.default"} {
		if got, err := again.Token(t.Context(), strings.TrimSuffix(strings.Fields(want)[2], "/.default")); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "right") {
		t.Errorf("the file is %s, %v", text, err)
	}
	other := *c
	other.UserName, other.tokens = "eve@acrux.localhost", &tokenCache{file: file}
	if _, err := other.Token(t.Context(), "a"); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("another user: %v", err)
	}
}

// A device waits for its user, and gives up when the server says so.
func TestSignInDevice(t *testing.T) {
	looks, end := 0, ""
	id := idToken(t, "ada@acrux.localhost")
	c := serveAll(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/devicecode") {
			fmt.Fprint(w, `{"device_code":"d","message":"go there","interval":1}`)
			return
		}
		looks++
		switch {
		case looks%2 == 1:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"authorization_pending","error_description":"wait"}`)
		case end != "":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":%q,"error_description":"no"}`, end)
		default:
			fmt.Fprintf(w, `{"access_token":"a","expires_in":3600,"refresh_token":"r","id_token":%q}`, id)
		}
	}))
	c.Method, c.ClientID = ByUser, ""
	var said string
	if err := c.SignInDevice(t.Context(), func(message string) { said = message }); err != nil || said != "go there" || looks != 2 || c.UserName != "ada@acrux.localhost" {
		t.Errorf("%v after %d looks, said %q, as %s", err, looks, said, c.UserName)
	}
	end = "expired_token"
	if err := c.SignInDevice(t.Context(), func(string) {}); !problem.Is(err, problem.Invalid) {
		t.Errorf("an expired code: %v", err)
	}
}

// certificateFile is a PEM file with a certificate and its key.
func certificateFile(t *testing.T) (string, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ci"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	file := filepath.Join(t.TempDir(), "ci.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return file, cert
}

func TestSignInByCertificate(t *testing.T) {
	file, cert := certificateFile(t)
	var endpoint string
	c := serveAll(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims jwt.RegisteredClaims
		parsed, err := jwt.ParseWithClaims(r.FormValue("client_assertion"), &claims, func(*jwt.Token) (any, error) { return cert.PublicKey, nil },
			jwt.WithValidMethods([]string{"PS256"}), jwt.WithAudience(endpoint), jwt.WithIssuer("app"), jwt.WithSubject("app"), jwt.WithExpirationRequired())
		sum := sha256.Sum256(cert.Raw)
		if err != nil || parsed.Header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) || claims.ID == "" {
			t.Errorf("the assertion: %v, %v", err, parsed)
		}
		fmt.Fprint(w, `{"access_token":"a","expires_in":3600}`)
	}))
	c.Method, c.ClientID, c.Certificate, c.Secret = ByCertificate, "app", file, secret.String{}
	endpoint = c.tokenEndpoint()
	if got, err := c.Token(t.Context(), "x"); err != nil || got != "a" {
		t.Errorf("%q, %v", got, err)
	}
	c.Certificate = filepath.Join(t.TempDir(), "nothing.pem")
	if _, err := c.Token(t.Context(), "y"); err == nil {
		t.Error("a file that is missing was no error")
	}
}

// In a step the endpoint of the variables answers, and no other is asked.
func TestSignInByIdentity(t *testing.T) {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-IDENTITY-HEADER") != "h" || r.URL.Query().Get("api-version") != "2019-08-01" {
			t.Errorf("asked %s with %v", r.URL, r.Header)
		}
		fmt.Fprintf(w, `{"access_token":"%s for %s","expires_in":"3600"}`, r.URL.Query().Get("client_id"), r.URL.Query().Get("resource"))
	}))
	defer endpoint.Close()
	t.Setenv("IDENTITY_ENDPOINT", endpoint.URL)
	t.Setenv("IDENTITY_HEADER", "h")
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	c.Method, c.ClientID = ByIdentity, "me"
	if got, err := c.Token(t.Context(), "x"); err != nil || got != "me for x" {
		t.Errorf("%q, %v", got, err)
	}
}

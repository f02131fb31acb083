package client

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// host is the one name of the test's server; its certificate is for it.
const host = "example.com"

// serve starts a server that signs everybody in and gives the rest to handler. The
// client reaches it by an address, under a name that is never resolved.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /adfs/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"access_token":"token for %s","expires_in":3600}`, r.FormValue("scope"))
	})
	mux.HandleFunc("/", handler)
	return serveAll(t, mux)
}

// serveAll is serve with a handler that also answers for the token endpoint.
func serveAll(t *testing.T, handler http.Handler) *Client {
	t.Helper()
	ts := httptest.NewTLSServer(handler)
	t.Cleanup(ts.Close)
	bundle := filepath.Join(t.TempDir(), "ca.crt")
	write(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw})))
	c, err := New(Profile{Management: "https://" + host, Authority: "https://" + host + "/adfs", GraphURL: "https://" + host + "/graph",
		Address: ts.Listener.Addr().String(), CABundle: bundle, Tenant: "t", ClientID: "me", Secret: secret.New("opensesame")}, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Each family of hosts has errors of its own; all become problems with hints.
func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		status int
		header string // x-ms-error-code
		body   string
		kind   problem.Kind
		text   string
		hints  []string
	}{
		{"management", 403, "", `{"error":{"code":"AuthorizationFailed","message":"no right","details":[{"code":"Hint","message":"do this"},{"code":"Other","message":"x"}]}}`,
			problem.Denied, "AuthorizationFailed: no right", []string{"do this"}},
		{"registry", 404, "", `{"errors":[{"code":"NAME_UNKNOWN","message":"no repository","detail":{"hints":["look there"]}}]}`, problem.NotFound, "NAME_UNKNOWN: no repository", []string{"look there"}},
		{"registry, another detail", 401, "", `{"errors":[{"code":"UNAUTHORIZED","message":"no","detail":{"Type":"repository"}}]}`, problem.Unauthenticated, "UNAUTHORIZED: no", nil},
		{"login", 400, "", `{"error":"invalid_client","error_description":"the secret is wrong"}`, problem.Invalid, "invalid_client: the secret is wrong", nil},
		{"storage", 403, "AuthenticationFailed", `<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code><Message>the signature is old</Message></Error>`, problem.Denied, "AuthenticationFailed: the signature is old", nil},
		{"storage, no text", 404, "BlobNotFound", ``, problem.NotFound, "BlobNotFound: the storage host answered 404", nil},
		{"not JSON", 502, "", `<html>`, problem.Internal, "502: the server answered 502 without saying why", nil},
		{"no body", 503, "", ``, problem.Unavailable, "503: the server answered 503 without saying why", nil},
		{"an error of another shape", 500, "", `{"error":[1]}`, problem.Internal, "500: the server answered 500 without saying why", nil},
		{"not an object", 500, "", `[1]`, problem.Internal, "500: the server answered 500 without saying why", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("x-ms-error-code", tt.header)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			_, err := c.Do(t.Context(), "GET", "/x", "1", nil, nil)
			var p *problem.Error
			if !errors.As(err, &p) || p.Kind != tt.kind || p.Error() != tt.text || !slices.Equal(p.Hints, tt.hints) {
				t.Errorf("got %#v", err)
			}
		})
	}
}

func TestDo(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		_ = json.NewDecoder(r.Body).Decode(&in) // empty without one
		_ = json.NewEncoder(w).Encode(map[string]any{"uri": r.RequestURI, "token": r.Header.Get("Authorization"), "in": in})
	})
	tests := []struct{ name, path, want string }{
		{"a path", "/a b/c", "/a%20b/c?api-version=1"},
		{"a query", "/a?$filter=x", "/a?api-version=1&$filter=x"},
		{"a link of the server", "https://" + host + "/next?skip=2", "/next?skip=2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out struct {
				URI, Token string
				In         map[string]any
			}
			if _, err := c.Do(t.Context(), "POST", tt.path, "1", map[string]any{"k": "v"}, &out); err != nil {
				t.Fatal(err)
			}
			if out.URI != tt.want || out.Token != "Bearer token for https://"+host+"/.default" || out.In["k"] != "v" {
				t.Errorf("the server got %+v, want %s", out, tt.want)
			}
		})
	}
	for _, link := range []string{"https://elsewhere.example/next", "https://" + host + ".elsewhere.example/next"} {
		if _, err := c.Do(t.Context(), "GET", link, "1", nil, nil); err == nil || !strings.Contains(err.Error(), "another host") {
			t.Errorf("a link to %s: %v", link, err)
		}
	}
	for _, text := range []string{"", "name/x", "@elsewhere.example/x", ".elsewhere.example/x", "?a",
		"http://" + host + "/x"} {
		var p *problem.Error
		if _, err := c.Do(t.Context(), "GET", text, "1", nil, nil); !errors.As(err, &p) || p.Code != "InvalidResourceID" {
			t.Errorf("what is no path, %q: %v", text, err)
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			w.Header().Set("Content-Length", "100")
		}
		fmt.Fprint(w, "hello")
	})
	var out struct{}
	for path, want := range map[string]string{"/text": "reading the server's answer to GET /text", "/short": "broke off"} {
		if _, err := c.Do(t.Context(), "GET", path, "1", nil, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	ts := httptest.NewServer(http.NotFoundHandler())
	p := Profile{Management: "https://" + host, Authority: "https://" + host + "/adfs", Address: ts.Listener.Addr().String(), ClientID: "me", Secret: secret.New("opensesame")}
	ts.Close()
	c, err := New(p, "")
	if err != nil {
		t.Fatal(err)
	}
	var e *problem.Error
	if _, err := c.Token(t.Context(), "x"); !errors.As(err, &e) || e.Kind != problem.Unavailable || len(e.Hints) == 0 {
		t.Errorf("a server that is down: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := c.Token(ctx, "x"); !errors.Is(err, enough) {
		t.Errorf("a caller that left: %v", err)
	}
}

func TestCABundle(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	write(t, empty, "nothing")
	for bundle, want := range map[string]string{filepath.Join(t.TempDir(), "missing"): "CA_BUNDLE cannot be read", empty: "holds no certificate"} {
		if _, err := New(Profile{CABundle: bundle}, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bundle, err)
		}
	}
}

// A server that the bundle does not vouch for gets no secret.
func TestForeignServer(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) {})
	foreign := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }))
	defer foreign.Close()
	p := c.Profile
	p.Address, p.Authority = foreign.Listener.Addr().String(), "https://other.invalid/adfs"
	stranger, err := New(p, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Token(t.Context(), "x"); err == nil {
		t.Error("it signed in")
	}
}

func TestRegistryPages(t *testing.T) {
	exchanges := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/oauth2/exchange":
			exchanges++
			fmt.Fprintf(w, `{"refresh_token":"refresh of %s"}`, r.FormValue("access_token"))
		case "/oauth2/token":
			fmt.Fprintf(w, `{"access_token":"%s%s for %s","expires_in":3600}`, r.FormValue("refresh_token"), r.FormValue("username")+r.FormValue("password"), r.FormValue("scope"))
		default:
			w.Header().Set("Link", `</list?last=b&n=2>; rel="next"`)
			fmt.Fprintf(w, `{"token":%q}`, r.Header.Get("Authorization"))
		}
	})
	var out struct{ Token string }
	req := RegistryRequest{Server: host, Method: "GET", Path: "/list?n=2", Scope: "registry:catalog:*"}
	var res Response
	for range 2 {
		var err error
		if res, err = c.Registry(t.Context(), req, &out); err != nil {
			t.Fatal(err)
		}
	}
	if exchanges != 1 {
		t.Errorf("two requests needed %d exchanges", exchanges)
	}
	if want := "Bearer refresh of token for https://" + host + "/.default for registry:catalog:*"; out.Token != want || res.NextPage() != "/list?last=b&n=2" {
		t.Errorf("got %q, then %q", out.Token, res.NextPage())
	}
	req.Username, req.Password = "user", secret.New("word")
	if _, err := c.Registry(t.Context(), req, &out); err != nil || out.Token != "Bearer userword for registry:catalog:*" || exchanges != 1 {
		t.Errorf("as a user of the registry: %q, %v, %d exchanges", out.Token, err, exchanges)
	}
}

func TestNextPage(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", "", ""},
		{"one", `</a?n=1>; rel="next"`, "/a?n=1"},
		{"absolute", `<https://elsewhere.example/a?n=1>; rel="next"`, "/a?n=1"},
		{"another relation", `</a>; rel="prev"`, ""},
		{"the second", `</a>; rel="prev", </b>; rel="next"`, "/b"},
		{"broken", `rel="next"><`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Response{Header: http.Header{"Link": {tt.in}}}).NextPage(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUpload(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the storage host was given a token")
		}
		if r.URL.Path == "/gone" {
			w.Header().Set("x-ms-error-code", "AuthenticationFailed")
			w.WriteHeader(403)
			return
		}
		got = fmt.Sprint(r.Method, " ", r.ContentLength, " ", r.Header.Get("x-ms-blob-type"))
		w.WriteHeader(201)
	})
	for text, want := range map[string]string{"hello": "PUT 5 BlockBlob", "": "PUT 0 BlockBlob"} {
		if err := c.Upload(t.Context(), "https://"+host+"/x?sig=1", strings.NewReader(text), int64(len(text))); err != nil || got != want {
			t.Errorf("%q: the server got %q, %v", text, got, err)
		}
	}
	if err := c.Upload(t.Context(), "https://"+host+"/gone", strings.NewReader("x"), 1); !problem.Is(err, problem.Denied) {
		t.Errorf("a link that is too old: %v", err)
	}
}

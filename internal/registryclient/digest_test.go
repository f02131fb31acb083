package registryclient

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/secret"
)

const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

// origin is a registry that gives tokens for a scope to who asks, and says what tags mean to who
// has one.
type origin struct {
	*httptest.Server
	path   string // in front of repositories
	silent bool   // says no digests
	told   []string
}

func newOrigin(t *testing.T) *origin {
	o := &origin{}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) host() string { return strings.TrimPrefix(o.URL, "http://") }

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, basic := r.BasicAuth()
	if r.URL.Path == "/token" {
		o.told = append(o.told, r.URL.Query().Get("scope")+" by "+user)
		if basic && password != "open" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"token":%q}`, r.URL.Query().Get("scope"))
		return
	}
	repository, tag, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"+o.path), "/manifests/")
	scope := "repository:" + repository + ":pull"
	if r.Header.Get("Authorization") != "Bearer "+scope {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+o.URL+`/token",service="origin",scope="`+scope+`"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch tag {
	case "none":
		w.WriteHeader(http.StatusNotFound)
	case "denied":
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"not for you"}]}`)
	case "busy":
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusTooManyRequests)
	default:
		if !o.silent {
			w.Header().Set("Docker-Content-Digest", digest.FromString(manifest).String())
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(manifest))
		}
	}
}

func clientOf(mirrors map[string]url.URL) *Client {
	return New(&egress.Dialer{Policy: egress.Policy{Loopback: true}, Mirrors: mirrors}, "test")
}

func TestDigest(t *testing.T) {
	for _, silent := range []bool{false, true} {
		o := newOrigin(t)
		o.silent = silent
		got, err := clientOf(nil).Digest(t.Context(), o.host(), "a/b", "1", "", secret.String{})
		if err != nil || got != digest.FromString(manifest).String() {
			t.Errorf("silent %v: %q, %v", silent, got, err)
		}
		if want := "repository:a/b:pull by "; o.told[0] != want {
			t.Errorf("silent %v: told %q", silent, o.told)
		}
	}
}

// What a registry answers otherwise: nothing there, no right, not now.
func TestDigestElse(t *testing.T) {
	o := newOrigin(t)
	ask := func(tag, user, password string) (string, error) {
		return clientOf(nil).Digest(t.Context(), o.host(), "a", tag, user, secret.New(password))
	}
	if got, err := ask("none", "", ""); got != "" || err != nil {
		t.Errorf("none: %q, %v", got, err)
	}
	var refused *Refusal
	if _, err := ask("denied", "ann", "open"); !errors.As(err, &refused) || refused.Status != http.StatusForbidden || len(refused.Reasons) != 1 {
		t.Errorf("denied: %#v", err)
	}
	if _, err := ask("1", "ann", "wrong"); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("wrong password: %v", err)
	}
	var busy *Busy
	if _, err := ask("busy", "", ""); !errors.As(err, &busy) || busy.After != 90*time.Second {
		t.Errorf("busy: %v", err)
	}
	if want := "repository:a:pull by ann"; o.told[1] != want {
		t.Errorf("told %q", o.told)
	}
}

// A mirror is asked in place of the registry, below its path, and gets nobody's credential: not
// by who asks for a digest, nor by who signs in.
func TestMirrorsGetNoCredential(t *testing.T) {
	o := newOrigin(t)
	o.path = "hub/"
	mirror, _ := url.Parse(o.URL + "/hub")
	client := clientOf(map[string]url.URL{"docker.io": *mirror})
	got, err := client.Digest(t.Context(), "registry-1.docker.io", "alpine", "3", "ann", secret.New("wrong"))
	if err != nil || got != digest.FromString(manifest).String() {
		t.Errorf("%q, %v", got, err)
	}
	if err := client.Login(t.Context(), "docker.io", "ann", secret.New("wrong")); err != nil {
		var refused *Refusal
		if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Error(err)
		}
	}
	for _, told := range o.told {
		if strings.HasSuffix(told, "ann") {
			t.Errorf("the mirror was told %q", o.told)
		}
	}
	if want := "repository:library/alpine:pull by "; o.told[0] != want {
		t.Errorf("told %q", o.told)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "7": 7 * time.Second, "soon": 0, "99999999": 24 * time.Hour, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:03:05 GMT": 0, "Fri, 02 Jan 2099 03:05:05 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

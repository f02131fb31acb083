package enginetest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/secret"
)

// Registry is a registry on the loopback interface, without TLS.
type Registry struct {
	Host string // "address:port"
	// RefreshToken is the password for user RefreshUser; empty lets everyone in.
	RefreshToken string

	fill string // a second token that fixtures push with
}

// RefreshUser is the user name that goes with a refresh token.
const RefreshUser = "00000000-0000-0000-0000-000000000000"

// Explanation and Hint are what a Registry says in the body of a refusal. Clients must
// ask with a request whose answer has a body to see them.
const (
	Explanation = "the principal has no role assignment that allows this"
	Hint        = "grant AcrPull on the registry"
)

// NewRegistry serves a registry until the test ends. With a refresh token it speaks
// the token protocol and refuses who has none; repositories below "readonly/" take no
// pushes.
func NewRegistry(t testing.TB, refreshToken string) *Registry {
	t.Helper()
	r := &Registry{RefreshToken: refreshToken, fill: "fill"}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if (r.RefreshToken == "" || r.admit(w, req)) && !mounts(w, req) {
			images.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// mounts answers for repositories below "mounts/": they have no blob of their own, and
// take any from another repository. The registry behind knows no such difference.
func mounts(w http.ResponseWriter, req *http.Request) bool {
	if !strings.HasPrefix(req.URL.Path, "/v2/mounts/") || !strings.Contains(req.URL.Path, "/blobs/") {
		return false
	}
	switch {
	case req.Method == http.MethodHead:
		w.WriteHeader(http.StatusNotFound)
		return true
	case req.Method == http.MethodPost && req.URL.Query().Get("from") != "":
		w.WriteHeader(http.StatusCreated)
		return true
	}
	return false
}

// admit lets a request through or refuses it.
func (r *Registry) admit(w http.ResponseWriter, req *http.Request) bool {
	if req.URL.Path == "/oauth2/token" {
		req.ParseForm()
		user, password, _ := req.BasicAuth()
		refreshed := req.Form.Get("grant_type") == "refresh_token" && req.Form.Get("refresh_token") == r.RefreshToken
		if refreshed || user == RefreshUser && password == r.RefreshToken { // docker's client does the second
			json.NewEncoder(w).Encode(map[string]string{"access_token": "access"})
		} else {
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		}
		return false
	}
	switch req.Header.Get("Authorization") {
	case "Bearer " + r.fill:
		return true
	case "Bearer access":
		if req.Method != http.MethodGet && req.Method != http.MethodHead && strings.HasPrefix(req.URL.Path, "/v2/readonly/") {
			refuse(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
			return false
		}
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/oauth2/token",service="`+req.Host+`"`)
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{
		"code": code, "message": message,
		"detail": map[string]any{"message": Explanation, "hints": []string{Hint}},
	}}})
}

// Push puts an image into the registry and returns its full name.
func (r *Registry) Push(t testing.TB, repositoryAndTag string, image v1.Image) string {
	t.Helper()
	full := r.Host + "/" + repositoryAndTag
	ref, err := name.ParseReference(full)
	if err != nil {
		t.Fatal(err)
	}
	auth := authn.FromConfig(authn.AuthConfig{RegistryToken: r.fill})
	if r.RefreshToken == "" {
		auth = authn.Anonymous
	}
	if err := remote.Write(ref, image, remote.WithAuth(auth)); err != nil {
		t.Fatal(err)
	}
	return full
}

// Credentials are the registry's, for a run.
func (r *Registry) Credentials() engine.Credentials {
	return Credentials{r.Host: {Username: RefreshUser, Password: secret.New(r.RefreshToken)}}
}

// Credentials is a fixed set of credentials by host.
type Credentials map[string]engine.Credential

// Credential implements engine.Credentials.
func (c Credentials) Credential(host string) (engine.Credential, bool) {
	credential, ok := c[host]
	return credential, ok
}

// applets are the programs that Busybox has.
var applets = strings.Fields("sh cat echo ls sleep id wc env wget mkdir mount dd tail head hostname true false kill stat grep touch chmod nc printf pwd rm ip test whoami yes tr trap wait")

// Busybox is a small Linux image, made of the machine's own statically linked busybox.
// The test is skipped if there is none.
func Busybox(t testing.TB) v1.Image {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the engine's tests need busybox-static: %v", err)
		}
		t.Skipf("the engine's tests need busybox-static: %v", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "etc", "tmp", "proc", "sys", "dev"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, program)
	for _, applet := range applets {
		add(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n"))
	add(tar.Header{Name: "etc/group", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:\nuser:x:1000:\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return imageOf(t, b.Bytes())
}

func imageOf(t testing.TB, layer []byte) v1.Image {
	t.Helper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: runtime.GOARCH, OS: "linux",
		RootFS: rootFS(t, image),
		Config: v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin", "FROM_IMAGE=yes"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func rootFS(t testing.TB, image v1.Image) v1.RootFS {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.RootFS
}

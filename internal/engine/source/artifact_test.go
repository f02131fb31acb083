package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/source"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
)

// artifacts is a registry on loopback that lets in who has a password, if it has one.
func artifacts(t *testing.T, password string) (host string) {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); password != "" && given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// file is a layer of an artifact.
type file struct {
	title, content string
	unpack         bool
}

func pushArtifact(t *testing.T, where string, opts []remote.Option, files ...file) {
	t.Helper()
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, f := range files {
		annotations := map[string]string{}
		if f.title != "" {
			annotations["org.opencontainers.image.title"] = f.title
		}
		if f.unpack {
			annotations["io.deis.oras.content.unpack"] = "true"
		}
		var err error
		image, err = mutate.Append(image, mutate.Addendum{Layer: static.NewLayer([]byte(f.content), "application/vnd.oci.image.layer.v1.tar"), Annotations: annotations})
		if err != nil {
			t.Fatal(err)
		}
	}
	ref, err := name.ParseReference(where)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, opts...); err != nil {
		t.Fatal(err)
	}
}

// packed is a folder as ORAS packs one.
func packed(t *testing.T, names ...string) string {
	t.Helper()
	var text bytes.Buffer
	zip := gzip.NewWriter(&text)
	archive := tar.NewWriter(zip)
	for _, name := range names {
		if err := archive.WriteHeader(&tar.Header{Name: name, Size: 2, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte("in")); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func fetchArtifact(t *testing.T, f source.Fetcher, where, password string) (string, error) {
	t.Helper()
	f.Registries = registryclient.New(&egress.Dialer{Policy: egress.Policy{Loopback: true}}, "acrux")
	dir := filepath.Join(t.TempDir(), "context")
	_, err := f.Fetch(t.Context(), source.Request{Context: "oci://" + where, Dir: dir, Credential: func(host string) (engine.Credential, bool) {
		return engine.Credential{Username: "me", Password: secret.New(password)}, password != "" && strings.HasPrefix(where, host)
	}})
	return dir, err
}

func TestArtifact(t *testing.T) {
	host := artifacts(t, "")
	pushArtifact(t, host+"/team/app:v1", nil, file{"Dockerfile", "FROM scratch", false}, file{"deep/er/file", "x", false}, file{"folder", packed(t, "folder/a", "folder/b"), true}, file{"", packed(t, "plain"), false})
	dir, err := fetchArtifact(t, source.Fetcher{}, host+"/team/app:v1", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Dockerfile": "FROM scratch", "deep/er/file": "x", "folder/a": "in", "folder/b": "in", "plain": "in"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); string(text) != want {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
}

// What is wrong with an artifact is told, and nothing is written outside.
func TestBadArtifact(t *testing.T) {
	host, closed := artifacts(t, ""), artifacts(t, "password")
	push := func(tag string, files ...file) { pushArtifact(t, host+"/a:"+tag, nil, files...) }
	push("above", file{"../above", "x", false})
	push("absolute", file{"/etc/above", "x", false})
	push("itself", file{".", "x", false})
	push("twice", file{"x", "1", false}, file{"x", "2", false})
	push("large", file{"x", strings.Repeat("x", 2000), false})
	push("out", file{"", packed(t, "../../out"), true})
	ref, _ := name.ParseReference(host + "/a:index")
	if err := remote.WriteIndex(ref, empty.Index); err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]string{
		host + "/a:above": "outside of itself", host + "/a:absolute": "outside of itself", host + "/a:itself": "outside of itself", host + "/a:twice": "cannot be written",
		host + "/a:large": "larger", host + "/a:out": "outside of itself", host + "/a:none": "failed to pull", host + "/a:index": "no artifact with files",
		host + "/A:b": "is not oci://", closed + "/a:v1": "failed to pull", "127.0.0.1:1/a:b": "failed to pull",
	} {
		dir, err := fetchArtifact(t, source.Fetcher{MaxBytes: 1000}, where, "")
		var failure engine.Failure
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", where, err, want)
		} else if !errors.As(err, &failure) {
			t.Errorf("%s is taken for a fault of ours: %v", where, err)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "above")); err == nil {
			t.Errorf("%s wrote outside", where)
		}
	}
}

func TestArtifactCredential(t *testing.T) {
	host := artifacts(t, "password")
	pushArtifact(t, host+"/a:v1", []remote.Option{remote.WithAuth(&authn.Basic{Username: "me", Password: "password"})}, file{"x", "y", false})
	if _, err := fetchArtifact(t, source.Fetcher{}, host+"/a:v1", "password"); err != nil {
		t.Error(err)
	}
	if _, err := fetchArtifact(t, source.Fetcher{}, host+"/a:v1", "wrong"); err == nil {
		t.Error("a wrong password does")
	}
}

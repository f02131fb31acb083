// Package objectstore_test runs a whole server whose blobs lie in an object store: pushes,
// pulls, imports, deletes, and builds that pull from it, with redirects and without.
package objectstore_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/acrux/acrux/internal/blob/blobtest"
	"github.com/acrux/acrux/internal/cli"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/test/fixture"
)

// asProgram makes the test binary an acrux.
const asProgram = "ACRUX_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a server on an object store, with a registry.
type world struct {
	*fixture.Server
	t       *testing.T
	store   *blobtest.S3Server
	bucket  string
	environ []string
	host    string // of the registry
	client  *http.Transport
}

func newWorld(t *testing.T, redirect bool) *world {
	t.Helper()
	return newWorldOn(t, redirect, func(_ *blobtest.S3Server, url string) string { return url })
}

// newWorldOn makes a world that reaches its bucket under the URL that reach makes of its own.
func newWorldOn(t *testing.T, redirect bool, reach func(store *blobtest.S3Server, url string) string) *world {
	t.Helper()
	enginetest.NeedsRoot(t)
	w := &world{t: t, store: blobtest.StartS3(t)}
	w.bucket = reach(w.store, w.store.Bucket(t))
	upstream := httptest.NewServer(fixture.Upstream())
	t.Cleanup(upstream.Close)
	image, err := fixture.BusyboxImage()
	must(t, err)
	must(t, fixture.Push(strings.TrimPrefix(upstream.URL, "http://"), "library/node:15-alpine", image))
	w.environ = append(os.Environ(), asProgram+"=1", "ACRUX_CONFIG_DIR="+t.TempDir())
	for _, name := range []string{"ACRUX_S3_ACCESS_KEY", "ACRUX_S3_SECRET_KEY"} {
		w.environ = append(w.environ, name+"="+w.store.Getenv(name))
	}
	// Builds follow redirects to the store, which is on this machine.
	config := fmt.Sprintf("registryMirrors: {docker.io: %q}\negress: {allow: [127.0.0.1/32]}\nagent: {stepNetwork: none}\n", upstream.URL) +
		fmt.Sprintf("logLevel: debug\nblobs: {url: %q, redirect: %v}\n", w.bucket, redirect)
	w.Server, err = fixture.StartServer(os.Args[0], filepath.Join(t.TempDir(), "data"), config, w.environ)
	must(t, err)
	t.Cleanup(w.Kill)
	w.az("group", "create", "--name", "g", "--location", "eastus")
	w.az("acr", "create", "--resource-group", "g", "--name", "myregistry", "--sku", "Basic")
	w.host = w.az("acr", "show", "--name", "myregistry", "--query", "loginServer", "--output", "tsv")
	w.connect()
	return w
}

// connect makes the transport of clients: the server's names lead to it, addresses to
// themselves.
func (w *world) connect() {
	var err error
	w.client, err = fixture.Transport(w.Published.CABundle, w.Published.Address)
	must(w.t, err)
	w.t.Cleanup(w.client.CloseIdleConnections)
}

// az runs a client command that must succeed and returns its output.
func (w *world) az(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), os.Args[0], args...)
	cmd.Env = slices.Concat(w.environ, w.Exports())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("az %s: %v: %s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out)) + stderr.String()
}

func (w *world) ref(image string) name.Reference {
	ref, err := name.ParseReference(w.host + "/" + image)
	must(w.t, err)
	return ref
}

func (w *world) options() []remote.Option {
	return []remote.Option{remote.WithAuth(&authn.Basic{Username: w.Admin.ClientID, Password: w.Admin.Secret}), remote.WithTransport(w.client), remote.WithContext(w.t.Context())}
}

func TestWithoutRedirects(t *testing.T) { everything(t, false) }

func TestWithRedirects(t *testing.T) { everything(t, true) }

func everything(t *testing.T, redirect bool) {
	w := newWorld(t, redirect)
	image, err := random.Image(20_000_000, 2)
	must(t, err)
	must(t, remote.Write(w.ref("hello:v1"), image, w.options()...))
	if !redirect { // this client goes from no registry to a loopback address
		pulled, err := remote.Image(w.ref("hello:v1"), w.options()...)
		must(t, err)
		must(t, validate.Image(pulled))
	}
	w.ranges(image, redirect)

	w.az("acr", "import", "--name", "myregistry", "--source", "docker.io/library/node:15-alpine", "--image", "base:1")
	files := t.TempDir()
	must(t, os.WriteFile(filepath.Join(files, "Dockerfile"), []byte("ARG HOST\nFROM ${HOST}/base:1\nRUN echo built > /proof\n"), 0o600))
	w.az("acr", "build", "--registry", "myregistry", "--image", "built:1", "--build-arg", "HOST="+w.host, files)
	log := w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/built:1 cat /proof", "/dev/null")
	if !strings.Contains(log, "built\n") {
		t.Errorf("the run says %s", log)
	}

	must(t, remote.Delete(w.ref("hello:v1"), w.options()...))
	if _, err := remote.Image(w.ref("hello:v1"), w.options()...); err == nil {
		t.Error("a deleted tag is still there")
	}
	w.leftNothing()
	must(t, w.Stop())
}

// ranges reads a part of a layer, which lies in two parts of the object.
func (w *world) ranges(image v1.Image, redirect bool) {
	w.t.Helper()
	layers, err := image.Layers()
	must(w.t, err)
	digest, err := layers[0].Digest()
	must(w.t, err)
	r, err := layers[0].Compressed()
	must(w.t, err)
	content, err := io.ReadAll(r)
	must(w.t, err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://"+w.host+"/v2/hello/blobs/"+digest.String(), nil)
	must(w.t, err)
	req.SetBasicAuth(w.Admin.ClientID, w.Admin.Secret)
	req.Header.Set("Range", "bytes=8388600-8388700")
	redirected := false
	res, err := (&http.Client{Transport: w.client, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		redirected = r.URL.Host == w.store.Address
		return nil
	}}).Do(req)
	must(w.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(w.t, err)
	if res.StatusCode != http.StatusPartialContent || !bytes.Equal(body, content[8388600:8388701]) || redirected != redirect {
		w.t.Errorf("a range: %d, %d bytes, redirected: %v", res.StatusCode, len(body), redirected)
	}
}

// leftNothing: content is in the bucket and nowhere else, uploads are over, and neither
// log nor data have the secret key.
func (w *world) leftNothing() {
	w.t.Helper()
	names, err := w.store.Names(w.t.Context(), w.bucket)
	must(w.t, err)
	if len(names) < 6 || slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, "b/") || strings.Contains(n, "unfinished") }) {
		w.t.Errorf("the bucket has %q", names)
	}
	if _, err := os.Stat(filepath.Join(w.Data, "blobs")); !os.IsNotExist(err) {
		w.t.Errorf("the data directory has blobs: %v", err)
	}
	found, err := fixture.FileWith(w.Data, w.store.Getenv("ACRUX_S3_SECRET_KEY"))
	must(w.t, err)
	if found != "" {
		w.t.Errorf("the secret key lies in %s", found)
	}
}

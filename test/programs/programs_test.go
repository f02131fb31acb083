// Package programs_test runs other people's programs in steps and RUN instructions, against the
// server that runs them: they trust it without being told, and nothing of that stays in an
// image. Servers have the default configuration; all tests share a network namespace of their
// own, so that no packet leaves the machine.
package programs_test

import (
	"archive/tar"
	"bytes"
	"flag"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

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
	flag.Parse()
	if testing.Short() || os.Geteuid() != 0 {
		os.Exit(m.Run()) // the tests say why they do nothing
	}
	os.Exit(enginetest.MainAlone(0, m.Run))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a server with images of programs.
type world struct {
	*fixture.Server
	t       *testing.T
	host    string // of the registry
	environ []string
}

func newWorld(t *testing.T, config string) *world {
	t.Helper()
	enginetest.WholeServers(t)
	w := &world{t: t, environ: append(os.Environ(), asProgram+"=1", "ACRUX_CONFIG_DIR="+t.TempDir())}
	var err error
	w.Server, err = fixture.StartServer(os.Args[0], filepath.Join(t.TempDir(), "data"), config, w.environ)
	must(t, err)
	t.Cleanup(w.Kill)
	w.az("group", "create", "--name", "g", "--location", "eastus")
	w.az("acr", "create", "--resource-group", "g", "--name", "myregistry", "--sku", "Basic")
	w.host = w.az("acr", "show", "--name", "myregistry", "--query", "loginServer", "--output", "tsv")
	for name, image := range images(t) {
		must(t, remote.Write(w.ref(name), image, w.options()...))
	}
	return w
}

func (w *world) ref(image string) name.Reference {
	ref, err := name.ParseReference(w.host + "/" + image)
	must(w.t, err)
	return ref
}

func (w *world) options() []remote.Option {
	client, err := fixture.Transport(w.Published.CABundle, w.Published.Address)
	must(w.t, err)
	w.t.Cleanup(client.CloseIdleConnections)
	return []remote.Option{remote.WithAuth(&authn.Basic{Username: w.Admin.ClientID, Password: w.Admin.Secret}), remote.WithTransport(client)}
}

// try runs a client command and returns what it prints.
func (w *world) try(args ...string) (string, error) {
	cmd := exec.CommandContext(w.t.Context(), os.Args[0], args...)
	cmd.Env = slices.Concat(w.environ, w.Exports())
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (w *world) az(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("az %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// task runs a task file in a folder with these files.
func (w *world) task(steps string, files map[string]string) (string, error) {
	w.t.Helper()
	folder := w.t.TempDir()
	for name, content := range files {
		must(w.t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644))
	}
	must(w.t, os.WriteFile(filepath.Join(folder, "acb.yaml"), []byte("version: v1.1.0\nsteps:\n"+steps), 0o644))
	return w.try("acr", "run", "--registry", "myregistry", "--file", "acb.yaml", folder)
}

// machineRoots are the authorities of this machine, which an image brings as well.
const machineRoots = "/etc/ssl/certs/ca-certificates.crt"

// images are this machine's curl and openssl, and a program in Go, in an image as Debian makes
// them, and the last of these in one without any authority.
func images(t *testing.T) map[string]v1.Image {
	t.Helper()
	base, err := fixture.BusyboxImage()
	must(t, err)
	roots, err := os.ReadFile(machineRoots)
	must(t, err)
	bare := map[string][]byte{"/usr/local/bin/ask": probe(t)}
	debian := map[string][]byte{machineRoots: roots}
	maps.Copy(debian, bare)
	for _, program := range []string{lookup(t, "curl"), lookup(t, "openssl")} {
		for _, file := range append(libraries(t, program), program) {
			debian[file], err = os.ReadFile(file)
			must(t, err)
		}
	}
	with := func(files map[string][]byte) v1.Image {
		image, err := mutate.AppendLayers(base, layer(t, files))
		must(t, err)
		return image
	}
	return map[string]v1.Image{"debian:1": with(debian), "bare:1": with(bare)}
}

// probe builds the program in Go.
func probe(t *testing.T) []byte {
	t.Helper()
	built := filepath.Join(t.TempDir(), "ask")
	cmd := exec.Command("go", "build", "-o", built, "./ask")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(built)
	must(t, err)
	return program
}

func lookup(t *testing.T, program string) string {
	t.Helper()
	at, err := exec.LookPath(program)
	must(t, err)
	return at
}

// libraries are the files that a program is linked with, as ldd(1) lists them.
func libraries(t *testing.T, program string) (files []string) {
	t.Helper()
	out, err := exec.Command("ldd", program).Output()
	must(t, err)
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			files = append(files, word)
		}
	}
	return files
}

// layer has these files. OpenSSL of Debian looks for authorities below /usr/lib/ssl.
func layer(t *testing.T, files map[string][]byte) v1.Layer {
	t.Helper()
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for file, body := range files {
		must(t, w.WriteHeader(&tar.Header{Name: file[1:], Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(body))}))
		_, err := w.Write(body)
		must(t, err)
	}
	if files[machineRoots] != nil {
		must(t, w.WriteHeader(&tar.Header{Name: "usr/lib/ssl/certs", Typeflag: tar.TypeSymlink, Linkname: "/etc/ssl/certs"}))
	}
	must(t, w.Close())
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil }
	made, err := tarball.LayerFromOpener(open)
	must(t, err)
	return made
}

package docs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/cli"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/test/fixture"
)

// asUpstream makes this program serve what pages take from the Internet.
const asUpstream = "ACRUX_TEST_UPSTREAM"

func TestMain(m *testing.M) {
	if work := os.Getenv(asUpstream); work != "" {
		log.Fatal(serveUpstream(work))
	}
	os.Exit(m.Run())
}

// root is the checkout.
const root = "../.."

// pages are all of them, by their paths in the checkout; the README first, since it builds.
func pages(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			path, err = filepath.Rel(root, path)
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"README.md", "CONTRIBUTING.md"}, all...)
}

func read(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return blocksOf(page, string(text))
}

// Every block says what it is, and files that are shown are such files.
func TestFiles(t *testing.T) {
	seen := map[string]int{}
	for _, page := range pages(t) {
		for _, b := range read(t, page) {
			seen[b.kind]++
			where := fmt.Sprintf("%s:%d", b.page, b.line)
			switch {
			case b.kind == "sh" || b.kind == "text":
			case b.kind == "json" && json.Valid([]byte(b.text)):
			case b.kind == "yaml" && b.isSettings():
				run(t, where, b, "config", "show", "--data", t.TempDir(), "--config")
			case b.kind == "yaml" && strings.Contains(b.text, "steps:"):
				run(t, where, b, "lint")
			default:
				t.Errorf("%s: the block is no sh, text or json, nor acrux.yaml or a task file in yaml, but %q", where, b.kind)
			}
		}
	}
	if seen["sh"] < 5 || seen["yaml"] < 3 {
		t.Errorf("there are few blocks: %v", seen)
	}
}

// run gives a block as a file to a command.
func run(t *testing.T, where string, b block, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), filepath.Base(b.name)+".yaml")
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := cli.Main(append(append([]string{"acrux"}, args...), file), strings.NewReader(""), &out, &out); code != 0 {
		t.Errorf("%s: acrux %s: %d\n%s", where, args[0], code, out.String())
	}
}

// server is what a page takes for granted that begins with a server.
const server = `acrux serve --data /var/lib/acrux --detach
eval "$(acrux env --data /var/lib/acrux)"
az group create --name dev --location eastus --output none
`

// given is what pages take for granted beside the files that they show.
var given = map[string]string{
	"README.md": "",
	"docs/tutorial/cross-registry.md": `acrux serve --data /var/lib/acrux --detach
eval "$(acrux env --data /var/lib/acrux)"
`,
	"docs/reference/offline.md": server + `for name in myregistry contoso; do
  az acr create --resource-group dev --name $name --sku Standard --output none
done
`,
	"docs/reference/triggers.md": server + `az acr create --resource-group dev --name myregistry --sku Standard --output none
`,
	"docs/reference/task-file.md": server + `az acr create --resource-group dev --name myregistry --sku Standard --output none
printf 'version: v1.1.0\nsteps:\n- build: -t $Registry/web:$ID --build-arg tag={{.Values.tag}} .\n- push: ["$Registry/web:$ID"]\n' >acb.yaml
echo FROM scratch >Dockerfile
az acr task create --registry myregistry --name mytask --context /dev/null --cmd 'bash -c true' --output none
`,
}

// What pages say to type is typed, as it stands.
func TestCommands(t *testing.T) {
	enginetest.WholeServers(t)
	if _, err := exec.LookPath("/usr/bin/az"); err != nil {
		t.Fatal("the README's commands of the Azure CLI need it: make deps-clients")
	}
	for _, page := range pages(t) {
		blocks := read(t, page)
		if all := scripts(blocks); len(all) > 0 {
			t.Run(page, func(t *testing.T) { paste(t, page, blocks, all) })
		}
	}
}

// paste runs the shells of a page one after the other on one machine.
func paste(t *testing.T, page string, blocks []block, shells []string) {
	work := t.TempDir()
	home, folder := filepath.Join(work, "home"), filepath.Join(work, "folder.d")
	for _, dir := range []string{home, folder, filepath.Join(work, "data"), filepath.Join(work, "bin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before, ok := given[page]
	if !ok {
		before = server
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(checkout, "bin") + ":" + os.Getenv("PATH")
	if page == "README.md" { // which is read in the checkout, by who has nothing yet
		folder, path = checkout, filepath.Join(work, "bin")+":"+os.Getenv("PATH")
	}
	write(t, work, map[string]string{"folder": folder, "hosts": "127.0.0.1 localhost git.example mirror.example\n", "resolv.conf": "nameserver 127.0.0.1\n",
		"bin/make": makeShim, "data/acrux.yaml": settings(blocks)})
	for _, b := range blocks {
		if b.kind == "yaml" && b.name != "" && !b.isSettings() {
			write(t, folder, map[string]string{b.name: b.text})
		}
	}
	if err := os.Mkdir("/var/lib/acrux", 0o700); err == nil {
		defer os.Remove("/var/lib/acrux")
	} else if !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	var whole strings.Builder
	for i, text := range shells {
		name := fmt.Sprintf("shell%d", i)
		if i == 0 {
			text = "set -e -o pipefail\n" + before + text
		}
		write(t, work, map[string]string{name: text})
		fmt.Fprintf(&whole, "bash %s/%s || exit\n", work, name)
	}
	write(t, work, map[string]string{"all": whole.String()})
	script, err := filepath.Abs("paste.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "bash", script, work, filepath.Join(work, "all"),
		os.Args[0], filepath.Join(checkout, "bin", "acrux"))
	// The program is built without what makes builds comparable: the tests have built the rest so.
	cmd.Env = append(os.Environ(), "PATH="+path, "BUILDFLAGS=")
	for _, name := range []string{"GOPATH", "GOMODCACHE", "GOCACHE"} { // which are below the former home
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(string(out), "\n")
		t.Errorf("%s: %v\n%s", page, err, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

// settings are those that a page shows, and that there is no Internet.
func settings(blocks []block) string {
	text := "egress: {loopback: true}\n"
	mirror := "registryMirrors: {docker.io: http://127.0.0.1:5000}\n"
	for _, b := range blocks {
		if b.isSettings() {
			text += b.text
		}
	}
	if !strings.Contains(text, "registryMirrors:") {
		text += mirror
	}
	return text
}

// makeShim is make, but for the tests: they are running.
const makeShim = `#!/bin/bash
[ "$*" = test ] && exec /usr/bin/make --dry-run test >/dev/null
exec /usr/bin/make "$@"
`

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// serveUpstream serves Docker Hub's images and git.example where pages expect them, inside a
// namespace, until it is killed.
func serveUpstream(work string) error {
	image, err := fixture.BusyboxImage()
	if err != nil {
		return err
	}
	hub, err := net.Listen("tcp", "127.0.0.1:5000")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(hub, fixture.Upstream()) }()
	for _, name := range []string{"library/node:15-alpine", "library/node:20", "library/alpine:latest"} {
		if err := fixture.Push(hub.Addr().String(), name, image); err != nil {
			return err
		}
	}
	if _, err := fixture.GitRepository(filepath.Join(root, "examples/hello-world"), filepath.Join(work, "git", "hello-world.git")); err != nil {
		return err
	}
	handler, err := fixture.Git(filepath.Join(work, "git"))
	if err != nil {
		return err
	}
	cert, err := selfSigned("git.example")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "roots.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		return err
	}
	git, err := tls.Listen("tcp", "127.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	go func() { failed <- http.Serve(git, handler) }()
	if err := os.WriteFile(filepath.Join(work, "upstream.ready"), nil, 0o600); err != nil {
		return err
	}
	return <-failed
}

func selfSigned(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// A block is found with its kind, its name and its line.
func TestBlocks(t *testing.T) {
	got := blocksOf("p", "a\n```sh\none\n```\n\n`x.yaml`:\n\n```yaml\nsteps:\n```\nb\n```yaml\n# acrux.yaml\ny\n```\n```text\nin another shell\n```\n```sh\n# in another shell\ntwo\n```\n```sh\nthree\n```\n")
	want := []block{{"p", 2, "sh", "", "one\n"}, {"p", 8, "yaml", "x.yaml", "steps:\n"}, {"p", 12, "yaml", "acrux.yaml", "# acrux.yaml\ny\n"},
		{"p", 16, "text", "", "in another shell\n"}, {"p", 19, "sh", "", "# in another shell\ntwo\n"}, {"p", 23, "sh", "", "three\n"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if all := scripts(got); len(all) != 2 || !strings.Contains(all[0], "one") || !strings.Contains(all[1], "two") || !strings.Contains(all[1], "three") {
		t.Errorf("%q", all)
	}
}

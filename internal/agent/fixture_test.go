package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/lease/leasetest"
)

// registry is what a test's registry does. It takes one password.
type registry struct {
	password string
	exchange http.HandlerFunc // of /oauth2/exchange
}

func (reg registry) serve(t *testing.T) url.URL {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = reg.handler(func() string { return server.URL })
	server.Start()
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return *u
}

// own makes a registry one of the installation, at a host with TLS.
func (r *rig) own(host string, reg registry) {
	r.t.Helper()
	server := httptest.NewUnstartedServer(reg.handler(func() string { return "https://" + host }))
	certificate := selfSigned(r.t, host)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	r.t.Cleanup(server.Close)
	r.at(host, server.Listener.Addr().String(), certificate.Leaf)
}

// at has a host of the installation at an address, with a certificate.
func (r *rig) at(host, address string, certificate *x509.Certificate) {
	if r.dialer.RootCAs == nil {
		r.dialer.RootCAs = x509.NewCertPool()
	}
	r.dialer.RootCAs.AddCert(certificate)
	before := r.dialer.Own
	r.dialer.Own = func(wanted string) (string, bool) {
		if name, _, err := net.SplitHostPort(wanted); wanted == host || err == nil && name == host {
			return address, true
		}
		if before != nil {
			return before(wanted)
		}
		return "", false
	}
}

func selfSigned(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (reg registry) handler(base func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/oauth2/token",service="x"`, base()))
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("GET /oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != reg.password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"access_token":"good"}`)
	})
	if reg.exchange != nil {
		mux.HandleFunc("POST /oauth2/exchange", reg.exchange)
	}
	return mux
}

// gitServer serves a repository web.git with these files, and its head revision.
func gitServer(t *testing.T, files map[string]string) (address, commit string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git contexts need the git program")
		}
		t.Skip("git contexts need the git program")
	}
	dir := t.TempDir()
	git := func(args ...string) string {
		command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1"}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main", "web.git")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "web.git", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("-C", "web.git", "add", ".")
	git("-C", "web.git", "commit", "-q", "-m", "first")
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(git("--exec-path"), "git-http-backend"), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	return server.URL, git("-C", "web.git", "rev-parse", "HEAD")
}

// tarServer serves a compressed archive with these files.
func tarServer(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(out.Bytes()) }))
	t.Cleanup(server.Close)
	return server.URL
}

// rig is an agent with all that is around it.
type rig struct {
	t      *testing.T
	leaser *leasetest.Memory
	fake   *enginetest.Fake
	dialer *egress.Dialer
	root   string
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, leaser: new(leasetest.Memory), fake: new(enginetest.Fake), root: t.TempDir()}
	machine := egress.Policy{Loopback: true}
	r.dialer = &egress.Dialer{Policy: machine, Content: machine, Mirrors: map[string]url.URL{}}
	r.own("myregistry.azurecr.io", registry{password: "own-password"})
	return r
}

// start runs the agent until the test ends.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	agent := New(Options{
		Leaser: r.leaser, Executor: r.fake, Dialer: r.dialer, Root: r.root,
		Agent: lease.Agent{Name: "test", OS: "linux", Arch: "amd64"}, Logger: slog.New(slog.DiscardHandler),
	})
	go func() { done <- agent.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("the agent ended with %v", err)
		}
	})
}

// result waits for a run.
func (r *rig) result(run string) lease.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	result, err := r.leaser.Result(ctx, run)
	if err != nil {
		r.t.Fatalf("the run did not end: %v\n%s", err, r.leaser.Log(run))
	}
	return result
}

// job is a run of a task file without context.
func job(task string) lease.Job {
	return lease.Job{
		RunID: "cf10", RegistryName: "myregistry", LoginServer: "myregistry.azurecr.io", TaskName: "mytask",
		OS: "linux", Arch: "amd64", TriggeredBy: "Manual", Timeout: time.Hour, CreatedAt: time.Now(),
		Step:   lease.Step{Kind: lease.EncodedTask, Task: []byte(task)},
		Logins: []lease.Login{{Registry: "myregistry.azurecr.io", Username: secret.New("own"), Password: secret.New("own-password"), Own: true}},
	}
}

// withContext makes a job take its task file from a context.
func withContext(t *testing.T, j lease.Job, address string) lease.Job {
	t.Helper()
	j.Step.Kind, j.Step.Context, j.Step.TaskPath = lease.FileTask, address, "acb.yaml"
	return j
}

func basicAuth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

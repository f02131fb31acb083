// Package conformance_test runs the conformance suite of the OCI Distribution
// specification against a server as users start it: over TLS, with tokens, signed in as
// an identity that may push and delete in one registry and nothing else. The suite is a
// program that tools/go.mod pins.
package conformance_test

import (
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/acrux/acrux/internal/cli"
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

// checks is how many the pinned suite makes with the settings: 984 with tag parameters,
// and two of canceling an upload.
const checks = 986

// settings turn on what the specification leaves to a registry, and we have. All else is
// on by default, but for manifests that name what was never pushed: we refuse those.
var settings = []string{"OCI_VERSION=1.1", "OCI_TLS=enabled", "OCI_API_MANIFESTS_TAG_PARAM=true", "OCI_DATA_SHA512=true", "OCI_API_BLOBS_UPLOAD_CANCEL=true",
	"OCI_API_BLOBS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true"}

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite takes longer than a short test may")
	}
	w := newWorld(t)
	results := t.TempDir()
	cmd := exec.CommandContext(t.Context(), suite(t))
	cmd.Env = slices.Concat(os.Environ(), settings, []string{"OCI_REGISTRY=" + w.host, "OCI_USERNAME=" + w.user, "OCI_PASSWORD=" + w.password, "OCI_RESULTS_DIR=" + results,
		"HTTPS_PROXY=" + w.proxy, "SSL_CERT_FILE=" + w.Published.CABundle})
	out, err := cmd.CombinedOutput()
	report := readReport(t, filepath.Join(results, "junit.xml"))
	for _, c := range report.Cases {
		if c.Status != "passed" {
			t.Errorf("%s: %s: %s", c.Status, c.Name, c.Output)
		}
	}
	if want := (counts{Tests: checks}); report.counts != want {
		t.Errorf("the suite counts %+v, want %+v", report.counts, want)
	}
	if err != nil {
		t.Errorf("the suite ended with %v: %.2000s", err, out)
	}
	must(t, w.Stop()) // which fails if the log tells of faults
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// suite builds the suite that tools/go.mod pins, which the compiler's cache keeps.
func suite(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-n", "-modfile=../../tools/go.mod", "conformance")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("building the suite: %v: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// report is what the suite writes. Its counts are of checks; a case has one or several.
type report struct {
	counts
	Cases []struct {
		Name   string `xml:"name,attr"`
		Status string `xml:"status,attr"`
		Output string `xml:"system-out"`
	} `xml:"testcase"`
}

type counts struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
	Disabled int `xml:"disabled,attr"`
}

func readReport(t *testing.T, file string) report {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	var suites struct {
		Suite report `xml:"testsuite"`
	}
	must(t, xml.Unmarshal(text, &suites))
	return suites.Suite
}

// world is a server with a registry, and what a client needs to use it.
type world struct {
	*fixture.Server
	host           string // of the registry
	user, password string
	proxy          string // URL of a proxy that knows the server's names
}

func newWorld(t *testing.T) *world {
	t.Helper()
	environ := append(os.Environ(), asProgram+"=1", "ACRUX_CONFIG_DIR="+t.TempDir())
	server, err := fixture.StartServer(os.Args[0], filepath.Join(t.TempDir(), "data"), "agent: {off: true}\n", environ)
	must(t, err)
	t.Cleanup(server.Kill)
	w := &world{Server: server, proxy: tunnel(t, server.Published.Address)}
	az := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), os.Args[0], append(args, "--output", "tsv")...)
		cmd.Env = slices.Concat(environ, w.Exports())
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("az %s: %v: %s", strings.Join(args, " "), err, stderr.String())
		}
		return strings.TrimSpace(string(out))
	}
	az("group", "create", "--name", "g", "--location", "eastus")
	scope := az("acr", "create", "--resource-group", "g", "--name", "myregistry", "--sku", "Basic", "--query", "id")
	w.host = az("acr", "show", "--name", "myregistry", "--query", "loginServer")
	signIn := strings.Fields(az("ad", "sp", "create-for-rbac", "--name", "conformance", "--role", "AcrPush", "--scopes", scope, "--query", "[appId,password]"))
	w.user, w.password = signIn[0], signIn[1]
	az("role", "assignment", "create", "--assignee", w.user, "--role", "AcrDelete", "--scope", scope)
	return w
}

// tunnel is a proxy through which every name is the server's: clients find the registry
// without a name server.
func tunnel(t *testing.T, address string) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server, err := net.Dial("tcp", address)
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer server.Close()
		client, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connected\r\n\r\n") // the copies fail if this does
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
		both.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
		both.Wait()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

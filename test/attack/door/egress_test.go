package door_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// listening is a canary that notes who connects to it, whatever is said then.
type listening struct {
	net.Listener
	*canary
}

func (l listening) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.note("connection to " + conn.LocalAddr().String())
	}
	return conn, err
}

// newCanary serves a context at every path, on every address of the namespace.
func newCanary(t *testing.T) (c *canary, port string) {
	t.Helper()
	c = &canary{}
	listener, err := net.Listen("tcp", ":0")
	must(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.note(r.Method + " " + r.URL.Path)
			_, _ = w.Write(archive(t))
		})}
	go func() { _ = server.Serve(listening{listener, c}) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	_, port, err = net.SplitHostPort(listener.Addr().String())
	must(t, err)
	return c, port
}

// archive is a context with a Dockerfile.
func archive(t *testing.T) []byte {
	t.Helper()
	var text bytes.Buffer
	zipped := gzip.NewWriter(&text)
	w := tar.NewWriter(zipped)
	const dockerfile = "FROM scratch\nCOPY Dockerfile /\n"
	must(t, w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}))
	_, err := w.Write([]byte(dockerfile))
	must(t, err)
	must(t, w.Close())
	must(t, zipped.Close())
	return text.Bytes()
}

// newLeader redirects to where the query says, from an address that is allowed.
func newLeader(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	must(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, to, ok := strings.Cut(r.URL.Path, "/to/"); ok && path == "" {
			host, rest, _ := strings.Cut(to, "/")
			http.Redirect(w, r, "http://"+host+"/"+rest+"?"+r.URL.RawQuery, http.StatusFound)
			return
		}
		_, _ = w.Write(archive(t))
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().String()
}

// strict is a server for which this machine is closed, but for one address.
func strict(t *testing.T) *world {
	t.Helper()
	return theWorld(t, "strict", "logLevel: debug\negress: {allow: [127.0.0.2/32]}\nagent: {stepNetwork: none,"+
		" slots: 4}\n")
}

// What a refusal says.
const (
	byPolicy  = "not allowed by this server's egress policy"
	noSuch    = "no such host"
	notURL    = "InvalidParameterValue"
	notSource = "InvalidSourceLocation"
)

// addresses are ways to write an address of this machine, or that of metadata, and what
// makes each of them fail. PORT is the canary's.
var addresses = []struct{ name, host, words string }{
	{"loopback", "127.0.0.1:PORT", byPolicy},
	{"another of loopback", "127.255.255.254:PORT", byPolicy},
	{"short", "127.1:PORT", noSuch},
	{"decimal", "2130706433:PORT", noSuch},
	{"hexadecimal", "0x7f000001:PORT", noSuch},
	{"hexadecimal with dots", "0x7f.0.0.1:PORT", noSuch},
	{"octal", "0177.0.0.1:PORT", noSuch},
	{"zero", "0:PORT", noSuch},
	{"unspecified", "0.0.0.0:PORT", byPolicy},
	{"localhost", "localhost:PORT", byPolicy},
	{"localhost in upper case", "LocalHost:PORT", byPolicy},
	{"localhost with a dot", "localhost.:PORT", byPolicy},
	{"a name below localhost", "any.localhost:PORT", byPolicy},
	{"a name of loopback", "loopback.example:PORT", byPolicy},
	{"a name of loopback, six", "loopback6.example:PORT", byPolicy},
	{"a name of unspecified", "unspecified.example:PORT", byPolicy},
	{"six", "[::1]:PORT", byPolicy},
	{"six, long", "[0:0:0:0:0:0:0:1]:PORT", byPolicy},
	{"mapped", "[::ffff:127.0.0.1]:PORT", byPolicy},
	{"mapped in hexadecimal", "[::ffff:7f00:1]:PORT", byPolicy},
	{"compatible", "[::127.0.0.1]:PORT", byPolicy},
	{"unspecified, six", "[::]:PORT", byPolicy},
	{"NAT64", "[64:ff9b::7f00:1]:PORT", byPolicy},
	{"NAT64 of metadata", "[64:ff9b::a9fe:a9fe]:PORT", byPolicy},
	{"6to4", "[2002:7f00:1::]:PORT", byPolicy},
	{"6to4 of metadata", "[2002:a9fe:a9fe::]:PORT", byPolicy},
	{"Teredo", "[2001:0:7f00:1::]:PORT", byPolicy},
	{"metadata", "169.254.169.254:PORT", byPolicy},
	{"metadata, mapped", "[::ffff:169.254.169.254]:PORT", byPolicy},
	{"metadata in decimal", "2852039166:PORT", noSuch},
	{"metadata in hexadecimal", "0xa9fea9fe:PORT", noSuch},
	{"a name of metadata", "metadata.example:PORT", byPolicy},
	{"metadata of Azure's platform", "168.63.129.16:PORT", byPolicy},
	{"metadata over six", "[fd00:ec2::254]:PORT", byPolicy},
	{"link-local", "[fe80::1]:PORT", byPolicy},
	{"multicast", "224.0.0.1:PORT", byPolicy},
	{"broadcast", "255.255.255.255:PORT", byPolicy},
}

// importFrom imports from a host and returns what the server says in the end.
func (w *world) importFrom(t *testing.T, host string) string {
	t.Helper()
	a := w.arm(t, w.admin, "POST", w.registry(group1, first)+"/importImage", fmt.Sprintf(
		`{"source":{"registryUri":%q,"sourceImage":"a/b:1"},"targetTags":["imported/%d:1"],"mode":"Force"}`, host,
		time.Now().UnixNano()))
	if a.status == 202 {
		return w.operation(t, w.admin, a)
	}
	return fmt.Sprint(a.status, " ", a.body)
}

// build builds a context and returns what the server, or the log of the run, says.
func (w *world) build(t *testing.T, context string) string {
	t.Helper()
	a := w.arm(t, w.admin, "POST", w.registry(group1, first)+"/scheduleRun", fmt.Sprintf(
		`{"type":"DockerBuildRequest","platform":{"os":"linux"},"isPushEnabled":false,"imageNames":["x:1"],`+
			`"dockerFilePath":"Dockerfile","sourceLocation":%q}`, context))
	if a.status != 200 {
		return fmt.Sprint(a.status, " ", a.body)
	}
	state, log := w.finished(t, first, a.text("properties", "runId"))
	return state.text("properties", "status") + " " + log
}

// failed fails the test unless a text tells of a failure, with words.
func failed(t *testing.T, text, words string) {
	t.Helper()
	if strings.Contains(text, `"status":"Succeeded"`) || strings.HasPrefix(text, "Succeeded") ||
		strings.HasPrefix(text, "200") || !strings.Contains(text, words) {
		t.Errorf("want a failure with %q, got %.1500s", words, text)
	}
}

// What callers name is connected to if its address may be, however it is written.
func TestAddresses(t *testing.T) {
	t.Parallel()
	open, closed := shared(t), strict(t)
	c, port := newCanary(t)
	t.Run("attacks", func(t *testing.T) {
		for _, test := range addresses {
			host := strings.Replace(test.host, "PORT", port, 1)
			if test.words == byPolicy { // what has no address is asked for again and again
				t.Run("import: "+test.name, func(t *testing.T) {
					t.Parallel()
					failed(t, closed.importFrom(t, host), test.words)
				})
			}
			t.Run("archive: "+test.name, func(t *testing.T) {
				t.Parallel()
				failed(t, closed.build(t, "http://"+host+"/x.tar.gz"), test.words)
			})
		}
		for _, test := range addresses[:6] {
			host := strings.Replace(test.host, "PORT", port, 1)
			t.Run("git: "+test.name, func(t *testing.T) {
				t.Parallel()
				failed(t, closed.build(t, "http://"+host+"/x.git#main"), test.words)
			})
		}
	})
	t.Run("nobody came", func(t *testing.T) {
		if seen := c.visits(""); len(seen) > 0 {
			t.Errorf("the server has connected: %q", seen)
		}
	})
	t.Run("controls", func(t *testing.T) {
		for _, host := range []string{"127.0.0.1:", "localhost:", "[::1]:", "[::ffff:127.0.0.1]:",
			"loopback.example:", "127.0.0.2:"} {
			t.Run(host, func(t *testing.T) {
				c, port := newCanary(t)
				open.importFrom(t, host+port)
				open.build(t, "http://"+host+port+"/x.tar.gz")
				open.build(t, "http://"+host+port+"/x.git#main")
				for _, visit := range []string{"connection to ", "GET /x.tar.gz", "GET /x.git/info/refs"} {
					if len(c.visits(visit)) == 0 {
						t.Errorf("there was no %q but %q", visit, c.visits(""))
					}
				}
			})
		}
		t.Run("metadata is closed in any case", func(t *testing.T) {
			c, port := newCanary(t)
			failed(t, open.importFrom(t, metadata+":"+port), byPolicy)
			failed(t, open.build(t, "http://"+metadata+":"+port+"/x.tar.gz"), byPolicy)
			if seen := c.visits(""); len(seen) > 0 {
				t.Errorf("the server has connected: %q", seen)
			}
		})
	})
}

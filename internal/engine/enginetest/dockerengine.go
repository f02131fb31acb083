//go:build linux

package enginetest

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// StartDockerEngine starts a Docker Engine of the test's own and returns its address. It lives
// in namespaces of its own: its bridges and rules are no one else's, nothing it sends
// leaves, and when its first process ends all others and all mounts are gone.
func StartDockerEngine(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("starting a Docker Engine needs root")
	}
	for _, program := range []string{"dockerd", "containerd", "unshare", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("make deps-engine installs what is missing: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "engine") // t.TempDir's are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("something is left of the Docker Engine: %v", err)
		}
	})
	const script = `set -e
cd "$1"
ip link set lo up
containerd --log-level warn --config /dev/null --root "$1/c" --state "$1/cs" --address "$1/c.sock" &
exec dockerd --log-level warn --host "unix://$1/d.sock" --containerd "$1/c.sock" --data-root "$1/d" --exec-root "$1/x" --pidfile "$1/pid" --config-file "$1/none.json"
`
	if err := os.WriteFile(filepath.Join(dir, "none.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "engine", dir)
	log := &output{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the Docker Engine said:\n%s", log)
		}
	})
	host := "unix://" + filepath.Join(dir, "d.sock")
	awaitEngine(t, host, log)
	return host
}

// awaitEngine waits until an engine answers.
func awaitEngine(t testing.TB, host string, log *output) {
	t.Helper()
	socket := strings.TrimPrefix(host, "unix://")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		response, err := client.Get("http://docker/_ping")
		if err == nil {
			response.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the Docker Engine does not answer: %v\n%s", err, log)
		}
	}
}

// output is what a process prints. It may be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String implements fmt.Stringer.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

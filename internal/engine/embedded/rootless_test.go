//go:build linux && cgo

package embedded

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/acrux/acrux/internal/engine/rootless"
)

// asUser makes this program run its tests as an ordinary user.
const asUser = "ACRUX_TEST_AS_USER"

func TestMain(m *testing.M) {
	if code, was := rootless.Child(); was {
		os.Exit(code)
	}
	if os.Getenv(asUser) == "" || rootless.Inside() {
		os.Exit(m.Run())
	}
	code, err := rootless.Run(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// An ordinary user, with the subordinate IDs that ordinary users have. The files say so
// to one process and its children only.
const (
	userID     = 54321
	userFiles  = `mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/subuid" /etc/subuid && mount --bind "$0/subuid" /etc/subgid && `
	userBecome = `exec setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps=-all --bounding-set=+all "$0/test" "$@"`
)

// TestRootless runs the suite as an ordinary user.
func TestRootless(t *testing.T) {
	if os.Getenv(asUser) != "" {
		t.Skip("this is it")
	}
	if testing.Short() {
		t.Skip("it runs the suite once more")
	}
	needRoot(t)
	dir := publicDir(t)
	line := fmt.Sprintf("acruxtest:x:%d:%d::%s:/bin/sh\n", userID, userID, dir)
	for name, text := range map[string]string{"passwd": "root:x:0:0:root:/root:/bin/sh\n" + line, "subuid": "acruxtest:600000:65536\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, program, filepath.Join(dir, "test"))
	run := "^(TestSuite|TestEndsLeaveNothing|TestKilledProcess)$"
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c", userFiles+userBecome, dir,
		"-test.run", run, "-test.v", "-test.failfast=false")
	cmd.Env = append(os.Environ(), asUser+"=1", "TMPDIR="+filepath.Join(dir, "tmp"), "HOME="+dir)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// publicDir is a directory for a user who may not look into those of tests.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "acrux")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(tmp, userID, userID); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

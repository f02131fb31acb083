//go:build linux

package enginetest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/acrux/acrux/internal/sandbox/rootless"
)

// asUser makes a test program run its tests as an ordinary user.
const asUser = "ACRUX_TEST_AS_USER"

// IsUser reports whether these tests are run by AsUser.
func IsUser() bool { return os.Getenv(asUser) != "" }

// MainAsUser is the TestMain of a package that has tests for ordinary users: who runs them
// so has them run as root of a user namespace.
func MainAsUser(m *testing.M) int {
	if code, was := rootless.Child(); was {
		return code
	}
	if !IsUser() || rootless.Inside() {
		return m.Run()
	}
	code, err := rootless.Run(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// An ordinary user, with the subordinate IDs that ordinary users have. The files say so
// to one process and its children only.
const (
	userID     = 54321
	userFiles  = `mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/subuid" /etc/subuid && mount --bind "$0/subuid" /etc/subgid && `
	userBecome = `exec setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps=-all "$0/test" "$@"`
)

// AsUser runs tests of this program as an ordinary user. It takes root.
func AsUser(t *testing.T, tests string) {
	t.Helper()
	cmd := UserCommand(t, "-test.run", tests, "-test.v")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// UserCommand is this program, to be run as an ordinary user.
func UserCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
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
	cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", userFiles + userBecome, dir}, args...)...)
	cmd.Env = append(os.Environ(), asUser+"=1", "TMPDIR="+filepath.Join(dir, "tmp"), "HOME="+dir)
	cmd.Dir = dir
	return cmd
}

// publicDir is a directory for a user who may not look into those of tests.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "acrux")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
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

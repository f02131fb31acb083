package crash_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/test/fixture"
)

// workbench is a folder of its user's, with what 'acrux run' needs.
type workbench struct {
	t            *testing.T
	folder, root string
}

func newWorkbench(t *testing.T) *workbench {
	t.Helper()
	b := &workbench{t, t.TempDir(), t.TempDir()}
	program, err := os.ReadFile(fixture.Busybox)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.folder, "busybox"), program, 0o700))
	dockerfile := "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n"
	must(t, os.WriteFile(filepath.Join(b.folder, "Dockerfile"), []byte(dockerfile), 0o600))
	return b
}

// begin starts a run of a step after the build of its image.
func (b *workbench) begin(step string) (cmd *exec.Cmd, out *bytes.Buffer) {
	b.t.Helper()
	file := filepath.Join(b.folder, "acb.yaml")
	text := "version: v1.1.0\nsteps:\n- build: -t local:1 .\n- cmd: local:1 " + step + "\n"
	must(b.t, os.WriteFile(file, []byte(text), 0o600))
	out = new(bytes.Buffer)
	cmd = exec.Command(os.Args[0], "run", b.folder, "--root", b.root)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = out, out
	must(b.t, cmd.Start())
	return cmd, out
}

// succeeds runs something that must.
func (b *workbench) succeeds(why string) {
	b.t.Helper()
	cmd, out := b.begin("true")
	if err := cmd.Wait(); err != nil {
		b.t.Fatalf("%s: the next run: %v\n%s", why, err, out)
	}
}

// nothingLeft fails if something of a run stays. The kernel takes devices away when it has time.
func (b *workbench) nothingLeft(why, marker string) {
	b.t.Helper()
	var left []string
	if !until(func() bool { left = b.left(marker); return len(left) == 0 }) {
		b.t.Errorf("%s leaves %q", why, left)
	}
}

func (b *workbench) left(marker string) []string {
	b.t.Helper()
	devices, tables := uplinks(b.t)
	left := slices.Concat(mountsBelow(b.t, b.root), devices, tables)
	if running(marker) {
		left = append(left, "sleep "+marker)
	}
	return left
}

// reaches waits until the step sleeps.
func (b *workbench) reaches(marker string, out *bytes.Buffer) {
	b.t.Helper()
	if !until(func() bool { return running(marker) }) {
		b.t.Fatalf("the step does not begin:\n%s", out)
	}
}

// A run on this machine that is interrupted gives everything back and says by its status what
// ended it. One that is killed, at any time, is cleaned up by the next, which works.
func TestLocalRunEnds(t *testing.T) {
	enginetest.WholeServers(t)
	b := newWorkbench(t)
	b.succeeds("nothing before")
	b.nothingLeft("a run that succeeds", "0")
	for s, status := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		marker := fmt.Sprint(7700 + int(s))
		cmd, out := b.begin("sleep " + marker)
		b.reaches(marker, out)
		must(t, cmd.Process.Signal(s))
		_ = cmd.Wait() // the status says it
		if code := cmd.ProcessState.ExitCode(); code != status || !strings.Contains(out.String(), "Canceling") {
			t.Errorf("%s ends it with %d, want %d\n%s", s, code, status, out)
		}
		b.nothingLeft(s.String(), marker)
	}
	b.atOnce()
	began := time.Now()
	b.succeeds("ended at once")
	took := time.Since(began)
	for n := range 3 * kills() {
		marker := fmt.Sprintf("79%03d", n)
		cmd, _ := b.begin("sleep " + marker)
		after := rand.N(took)
		time.Sleep(after)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // says that it was killed
		why := fmt.Sprintf("killed after %s", after)
		b.succeeds(why)
		b.nothingLeft(why, marker)
	}
}

// atOnce interrupts a run twice, whose step does not heed it.
func (b *workbench) atOnce() {
	b.t.Helper()
	cmd, out := b.begin("sh -c 'trap true TERM INT; while true; do sleep 7798; done'")
	b.reaches("7798", out)
	must(b.t, cmd.Process.Signal(syscall.SIGINT))
	time.Sleep(50 * time.Millisecond)
	must(b.t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait() // the status says it
	if code := cmd.ProcessState.ExitCode(); code != 143 && code != 130 {
		b.t.Errorf("interrupted twice it ends with %d\n%s", code, out)
	}
}

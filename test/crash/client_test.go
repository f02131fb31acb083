package crash_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/engine/enginetest"
)

// said is what a command has printed so far. It is safe for concurrent use.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// ends has a command end by a signal once it has said something, and wants the signal's status.
func ends(t *testing.T, cmd *exec.Cmd, after string, by syscall.Signal) string {
	t.Helper()
	out := &said{}
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	if !until(func() bool { return strings.Contains(out.String(), after) }) {
		t.Fatalf("it does not say %q:\n%s", after, out)
	}
	if after == "" {
		time.Sleep(300 * time.Millisecond) // most likely it waits by now, and must end in any case
	}
	must(t, cmd.Process.Signal(by))
	_ = cmd.Wait() // the status says it
	text := out.String()
	if code := status(cmd); code != 128+int(by) {
		t.Errorf("%s ends it with %d:\n%s", by, code, text)
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "error:") {
		t.Errorf("%s:\n%s", by, text)
	}
	return text
}

// hearHangups has programs that are started hear SIGHUP, which who ran the tests may have ignored,
// and which they would ignore with him.
func hearHangups(t *testing.T) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
}

// Who interrupts a client hears what goes on without it, and finds its files gone.
func TestClientInterrupted(t *testing.T) {
	enginetest.WholeServers(t)
	hearHangups(t)
	w := newWorld(t)
	folder, temp := t.TempDir(), t.TempDir()
	large, err := os.Create(filepath.Join(folder, "large"))
	must(t, err)
	must(t, large.Truncate(64<<30)) // takes longer to pack than anybody waits
	must(t, large.Close())
	must(t, os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM scratch\n"), 0o600))
	w.environ = append(w.environ, "TMPDIR="+temp)
	goesOn := func(run string) string {
		return fmt.Sprintf("Run %s goes on; see it with: az acr task logs --registry myregistry --run-id %[1]s", run)
	}
	latest := func() string {
		return w.az("acr", "task", "list-runs", "--registry", "myregistry", "--query", "[0].runId", "--output", "tsv")
	}
	command := func(line string) *exec.Cmd { return w.command(t.Context(), strings.Fields(line)...) }

	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		out := ends(t, w.command(t.Context(), "acr", "build", "--registry", "myregistry", "--image", "x:1", folder), "Packing", s)
		if !strings.HasSuffix(out, "\nCanceled: nothing was queued\n") {
			t.Errorf("while it packs:\n%s", out)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}

	long := w.longRun("7601")
	if out := ends(t, command("acr task logs --registry myregistry --run-id "+long), "Launching container", syscall.SIGINT); !strings.HasSuffix(out, goesOn(long)+"\n") {
		t.Errorf("a log that is followed:\n%s", out)
	}
	step := func(marker string, flags ...string) *exec.Cmd {
		return w.command(t.Context(), append([]string{"acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 sh -c 'echo be''gun; sleep " + marker + "'", "/dev/null"}, flags...)...)
	}
	if out := ends(t, step("7602"), "begun", syscall.SIGTERM); !strings.HasSuffix(out, goesOn(latest())+"\n") {
		t.Errorf("a run whose client is told to go:\n%s", out)
	}
	w.az("acr", "task", "cancel-run", "--registry", "myregistry", "--run-id", latest())
	if out := ends(t, step("7603", "--no-logs"), "Queued a run", syscall.SIGINT); !strings.HasSuffix(out, goesOn(latest())+"\n") {
		t.Errorf("a run without its log:\n%s", out)
	}
	w.az("acr", "task", "cancel-run", "--registry", "myregistry", "--run-id", latest())
	if out := ends(t, step("7604"), "begun", syscall.SIGINT); !strings.Contains(out, "Canceling run "+latest()) || !strings.HasSuffix(out, "\nRun was canceled\n") {
		t.Errorf("a run that is interrupted:\n%s", out)
	}
	if status := w.status(latest()); status != "Canceled" {
		t.Errorf("the run is %s", status)
	}
	if status := w.status(long); status != "Running" {
		t.Errorf("the run whose log was followed is %s", status)
	}
	if out := ends(t, command("login --use-device-code"), "code", syscall.SIGINT); !strings.HasSuffix(out, "\nCanceled: nobody was signed in\n") {
		t.Errorf("a login:\n%s", out)
	}
	typing(t, command("login --username somebody@example.com"), "Password: ")
	typing(t, w.command(t.Context(), "admin", "create-user", "x@example.com", "--data", w.Data), "Password of ")
	typing(t, command("acr delete --name myregistry"), "(y/n)")
	typing(t, command("acr task create --registry myregistry --name t --context /dev/null --file -"), "")
	w.az("acr", "show", "--name", "myregistry")
	must(t, w.Stop())
}

// typing interrupts a command that waits for its user at a terminal, which is as it was then.
func typing(t *testing.T, cmd *exec.Cmd, prompt string) {
	t.Helper()
	master, path, err := console.NewPty()
	must(t, err)
	defer master.Close()
	terminal, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer terminal.Close()
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	must(t, err)
	cmd.Stdin = terminal
	ends(t, cmd, prompt, syscall.SIGINT)
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	must(t, err)
	if *before != *after {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
}

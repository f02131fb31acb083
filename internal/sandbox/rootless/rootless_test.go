//go:build linux && cgo

package rootless_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/sandbox/rootless"
)

func TestMain(m *testing.M) { os.Exit(enginetest.MainAsUser(m)) }

// TestPlayed is what an ordinary user's program does inside.
func TestPlayed(t *testing.T) {
	if !enginetest.IsUser() {
		t.Skip("runs as a part of the other tests")
	}
	fmt.Printf("inside %v, uid %d, pid %d\n", rootless.Inside(), os.Getuid(), os.Getpid())
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("ids %s\n", strings.Join(strings.Fields(string(ids)), " "))
	switch os.Getenv("ACRUX_TEST_PLAY") {
	case "wait":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		fmt.Println("ready")
		<-signals
		fmt.Println("asked to end")
	case "fail":
		os.Exit(7)
	}
}

// played starts TestPlayed as a user, and returns it with its output from a line on.
func played(t *testing.T, play, until string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("becoming another user needs root")
		}
		t.Skip("becoming another user needs root")
	}
	cmd := enginetest.UserCommand(t, "-test.run", "^TestPlayed$")
	cmd.Env = append(cmd.Env, "ACRUX_TEST_PLAY="+play)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), until) {
			return cmd, lines
		}
	}
	t.Fatalf("%q did not come: %v", until, cmd.Wait())
	return nil, nil
}

func TestRun(t *testing.T) {
	cmd, lines := played(t, "fail", "inside")
	if got, want := lines.Text(), "inside true, uid 0, pid "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	lines.Scan()
	if got, want := lines.Text(), "ids 0 54321 1 1 600000 65536"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("ended with %v, want 7", err)
	}
}

func TestRunPassesSignalsOn(t *testing.T) {
	cmd, lines := played(t, "wait", "ready")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "asked to end" {
		t.Errorf("got %q", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// What is inside ends with the process outside, however that ends.
func TestRunEndsWithItsCaller(t *testing.T) {
	cmd, lines := played(t, "wait", "ready")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool)
	go func() {
		for lines.Scan() { // to the end of the last process that writes
			continue
		}
		ended <- true
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the process inside lives on")
	}
	_ = cmd.Wait() // was killed
}

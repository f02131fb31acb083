package crash_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/tasks/run"
)

// pause is how long a server is stopped: longer than a lease counts, or ACRUX_TEST_PAUSE.
func pause(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("ACRUX_TEST_PAUSE")
	if text == "" {
		return run.Term + 4*time.Second
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// A server that is stopped for longer than a lease counts, as one on a suspended machine,
// goes on with its runs.
func TestPausedServer(t *testing.T) {
	w := newWorldWith(t, "agent: {slots: 3}\n")
	var runs []string
	for _, marker := range []string{"27.01", "27.02", "27.03"} {
		runs = append(runs, w.longRun(marker))
	}
	must(t, syscall.Kill(w.PID(), syscall.SIGSTOP))
	time.Sleep(pause(t))
	must(t, syscall.Kill(w.PID(), syscall.SIGCONT))
	for _, run := range runs {
		w.eventually("the end of run "+run, func() bool { return w.status(run) == "Succeeded" })
	}
	must(t, w.Stop())
}

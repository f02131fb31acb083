package crash_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/tasks/run"
)

// A server that is stopped for longer than a lease counts, as one on a suspended machine,
// goes on with its runs.
func TestPausedServer(t *testing.T) {
	w := newWorldOn(t, "none, slots: 3", "")
	var runs []string
	for _, marker := range []string{"27.01", "27.02", "27.03"} {
		runs = append(runs, w.longRun(marker))
	}
	must(t, syscall.Kill(w.PID(), syscall.SIGSTOP))
	time.Sleep(run.Term + 4*time.Second)
	must(t, syscall.Kill(w.PID(), syscall.SIGCONT))
	for _, run := range runs {
		w.eventually("the end of run "+run, func() bool { return w.status(run) == "Succeeded" })
	}
	must(t, w.Stop())
}

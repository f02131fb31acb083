//go:build vm

package crash_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/tasks/run"
)

// A clock that is set, an hour forward, two back and one forward again, ends no run. It is
// the whole machine's clock, so this runs in a virtual one alone (make test-vm).
func TestClockSet(t *testing.T) {
	w := newWorldOn(t, "none, slots: 3", "")
	var runs []string
	for _, marker := range []string{"180.01", "180.02", "180.03"} {
		runs = append(runs, w.longRun(marker))
	}
	for _, by := range []time.Duration{time.Hour, -2 * time.Hour, time.Hour} {
		setClock(t, by)
		time.Sleep(run.Term + 5*time.Second)
		for _, run := range runs {
			if status := w.status(run); status != "Running" && status != "Succeeded" {
				t.Errorf("after the clock was set by %s run %s is %s", by, run, status)
			}
		}
	}
	for _, run := range runs {
		w.eventually("the end of run "+run, func() bool { return w.status(run) == "Succeeded" })
	}
}

func setClock(t *testing.T, by time.Duration) {
	t.Helper()
	at, err := unix.TimeToTimespec(time.Now().Add(by))
	must(t, err)
	must(t, unix.ClockSettime(unix.CLOCK_REALTIME, &at))
}

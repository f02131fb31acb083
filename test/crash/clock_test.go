//go:build vm

package crash_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/tasks/run"
)

// A clock that is set an hour forward, and then an hour back, ends no run, whether it began
// before or between. It is the whole machine's clock, so this runs in a virtual one alone.
// (Before the time at which a server was made, its administrator's secret does not count yet.)
func TestClockSet(t *testing.T) {
	w := newWorldWith(t, "agent: {slots: 3}\n")
	runs := []string{w.longRun("150.01"), w.longRun("150.02")}
	for i, by := range []time.Duration{time.Hour, -time.Hour} {
		setClock(t, by)
		if i == 0 {
			runs = append(runs, w.longRun("150.03"))
		}
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

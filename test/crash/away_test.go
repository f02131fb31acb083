package crash_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
	"github.com/acrux/acrux/internal/tasks/run"
)

// A database that is away for longer than a lease counts ends no run: those that are under
// way go on, those that end meanwhile have ended once it is back, with all of their log.
func TestDatabaseAwayDuringRuns(t *testing.T) {
	sqlstoretest.Needed(t)
	proxy := sqlstoretest.Through(t)
	w := newWorldWith(t, fmt.Sprintf("agent: {slots: 2}\ndatabase: %q\n", proxy.URL))
	ends, goesOn := w.longRun("5.301"), w.longRun("45.302")
	proxy.Go()
	time.Sleep(run.Term + 10*time.Second)
	if running("5.301") || !running("45.302") {
		t.Error("the runs are not as far as they should be")
	}
	proxy.Work()
	for _, run := range []string{ends, goesOn} {
		w.eventually("the end of run "+run, func() bool {
			status := w.status(run)
			if status == "Error" || status == "Failed" {
				t.Fatalf("run %s: %s", run, w.az("acr", "task", "logs", "--registry", "myregistry", "--run-id", run))
			}
			return status == "Succeeded"
		})
	}
	w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 true", "/dev/null")
	w.Kill()
}

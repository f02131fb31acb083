package crash_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kills is how often TestKilledWithNetworks kills. More is for who looks for rare faults.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("ACRUX_TEST_KILLS")); err == nil {
		return n
	}
	return 3
}

// A server that is killed while runs have networks, and started while the kernel still takes
// those away, executes what is queued. It leaves nothing of them.
func TestKilledWithNetworks(t *testing.T) {
	const slots = 3
	w := newWorldWith(t, fmt.Sprintf("agent: {slots: %d}\n", slots))
	for n := range kills() {
		marker := func(i int) string { return fmt.Sprintf("78%02d%d", n%100, i) }
		for i := range slots {
			w.longRun(marker(i))
		}
		queued := w.begin("- cmd: $Registry/base:1 true\n")
		killed := time.Now()
		w.restart()
		started := time.Now()
		w.eventually("the end of the queued run", func() bool { return w.status(queued) == "Succeeded" })
		t.Logf("kill %d: ready after %s, the queued run ended after %s", n, started.Sub(killed), time.Since(killed))
		w.eventually("the end of what the killed runs had", func() bool {
			devices, _ := uplinks(t)
			return len(w.ofRuns())+len(devices) == 0
		})
		for i := range slots {
			if running(marker(i)) {
				t.Errorf("kill %d: a container still runs", n)
			}
		}
	}
	must(t, w.Stop())
	if devices, tables := uplinks(t); len(devices)+len(tables) > 0 {
		t.Errorf("left behind: devices %q, tables %q", devices, tables)
	}
	if left := append(w.leftovers(), w.ofRuns()...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// An agent that cannot start says why, and works once it can.
func TestAgentStartsLater(t *testing.T) {
	w := newWorld(t)
	w.Kill()
	engine := filepath.Join(w.Data, "engine")
	must(t, os.Rename(engine, engine+".away"))
	must(t, os.WriteFile(engine, nil, 0o600))
	w.start(w.Data)
	queued := w.begin("- cmd: $Registry/base:1 true\n")
	said := func() string {
		log, err := os.ReadFile(w.Log)
		must(t, err)
		return string(log)
	}
	w.eventually("the reason", func() bool { return strings.Contains(said(), "engine: not a directory") })
	if status := w.status(queued); status != "Queued" {
		t.Errorf("the run is %s", status)
	}
	must(t, os.Remove(engine))
	must(t, os.Rename(engine+".away", engine))
	w.eventually("the run", func() bool { return w.status(queued) == "Succeeded" })
	if n := strings.Count(said(), "the built-in agent cannot work here"); n != 1 {
		t.Errorf("it was said %d times that the agent does not work", n)
	}
	w.Kill()
}

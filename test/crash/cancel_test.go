package crash_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/test/fixture"
)

// tarpit takes connections and never says anything.
type tarpit struct {
	net.Listener
	callers atomic.Int32 // that wait now
}

func newTarpit(t *testing.T) *tarpit {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	pit := &tarpit{Listener: listener}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed at the end of the test
			}
			waiting.Go(func() {
				pit.callers.Add(1)
				_, _ = io.Copy(io.Discard, conn) // until the caller gives up
				pit.callers.Add(-1)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); waiting.Wait() })
	return pit
}

// stuckRegistry is an upstream registry that sends half of each layer.
type stuckRegistry struct {
	*httptest.Server
	callers atomic.Int32
}

func newStuckRegistry(t *testing.T) *stuckRegistry {
	t.Helper()
	upstream := fixture.Upstream()
	var stuck atomic.Bool
	r := &stuckRegistry{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !stuck.Load() || req.Method != http.MethodGet || !strings.Contains(req.URL.Path, "/blobs/") {
			upstream.ServeHTTP(w, req)
			return
		}
		answer := httptest.NewRecorder()
		upstream.ServeHTTP(answer, req)
		body := answer.Body.Bytes()
		if len(body) < 10_000 { // a configuration
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			_, _ = w.Write(body)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		r.callers.Add(1)
		defer r.callers.Add(-1)
		<-req.Context().Done()
	}))
	t.Cleanup(r.Close)
	image, err := random.Image(1<<20, 1) // with a layer that nobody has
	must(t, err)
	must(t, fixture.Push(strings.TrimPrefix(r.URL, "http://"), "library/slow:1", image))
	stuck.Store(true)
	return r
}

// moments are points of a run at which it can be made to stay.
func moments(t *testing.T, w *world, marker string) []moment {
	pit, stuck := newTarpit(t), newStuckRegistry(t)
	hang := pit.Addr().String()
	called := func() bool { return pit.callers.Load() > 0 }
	stuckHost := strings.TrimPrefix(stuck.URL, "http://")
	dockerfile := func(lines string) string {
		return "- cmd: $Registry/base:1 sh -c 'printf \"" + lines + "\" > /workspace/Dockerfile'\n"
	}
	return []moment{
		{"clone", "- build: -t $Registry/x:1 http://" + hang + "/x.git#main\n", called},
		{"archive", "- build: -t $Registry/x:1 http://" + hang + "/x.tar.gz\n", called},
		{"resolve", "- cmd: " + hang + "/x:1 true\n", called},
		{"pull", "- cmd: " + stuckHost + "/library/slow:1 true\n", func() bool { return stuck.callers.Load() > 0 }},
		{"pull of a base", dockerfile("FROM "+stuckHost+"/library/slow:1\\nRUN true\\n") + "- build: -t $Registry/x:1 .\n", func() bool { return stuck.callers.Load() > 0 }},
		{"RUN", dockerfile("FROM $Registry/base:1\\nRUN sleep "+marker+"\\n") + "- build: -t $Registry/x:1 .\n", func() bool { return running(marker) }},
		{"command", "- cmd: $Registry/base:1 sleep " + marker + "\n", func() bool { return running(marker) }},
		{"detached", "- cmd: $Registry/base:1 sleep " + marker + "\n  detach: true\n- cmd: $Registry/base:1 sh -c 'trap \"\" TERM; sleep 7777'\n", func() bool { return running(marker) && running("7777") }},
		{"push", dockerfile("FROM $Registry/base:1\\nLABEL a=b\\n") + "- build: -t " + hang + "/x:1 .\n- push: [" + hang + "/x:1]\n", called},
		{"delay", "- cmd: $Registry/base:1 touch /workspace/before\n- cmd: $Registry/base:1 true\n  startDelay: 600\n", func() bool {
			files, _ := filepath.Glob(filepath.Join(w.Data, "agent", "runs", "*", "workspace", "before"))
			return len(files) > 0
		}},
	}
}

type moment struct {
	name    string
	steps   string
	reached func() bool
}

// begin starts a run of steps and returns its ID without waiting for anything.
func (w *world) begin(steps string) string {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "task.yaml")
	must(w.t, os.WriteFile(file, []byte("version: v1.1.0\nsteps:\n"+steps), 0o600))
	w.az("acr", "run", "--registry", "myregistry", "--no-wait", "--file", file, "/dev/null")
	return w.az("acr", "task", "list-runs", "--registry", "myregistry", "--query", "[0].runId", "--output", "tsv")
}

// stillOpen fails the test, with the run's log, if the run has ended by itself.
func (w *world) stillOpen(run string) {
	w.t.Helper()
	switch status := w.status(run); status {
	case "Queued", "Started", "Running":
	default:
		w.t.Fatalf("run %s is %s before it was stopped: %s", run, status, w.az("acr", "task", "logs", "--registry", "myregistry", "--run-id", run))
	}
}

// during makes a subtest the one that fails.
func (w *world) during(t *testing.T) (end func()) {
	whole := w.t
	w.t = t
	return func() { w.t = whole }
}

// ofRuns are files, control groups and processes that a run has on this machine.
func (w *world) ofRuns() []string {
	var all []string
	engine := filepath.Join(w.Data, "engine")
	cgroup := container.CgroupName(filepath.Join(engine, "containers"))
	for _, pattern := range []string{
		filepath.Join(w.Data, "agent", "runs", "*"), filepath.Join(engine, "runs", "*"), filepath.Join(engine, "net", "run-*"), filepath.Join(engine, "net", "build", "*.hosts"),
		filepath.Join(engine, "containers", "*"), "/sys/fs/cgroup/" + cgroup + "/*/cgroup.procs", "/sys/fs/cgroup/*/" + cgroup + "/*/cgroup.procs",
	} {
		files, err := filepath.Glob(pattern)
		must(w.t, err)
		all = append(all, files...)
	}
	return all
}

// Whatever a run does when it is canceled, it ends soon and leaves nothing.
func TestCanceledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("whole servers")
	}
	w := newWorld(t)
	for _, m := range moments(t, w, "7301") {
		t.Run(m.name, func(t *testing.T) {
			defer w.during(t)()
			run := w.begin(m.steps)
			w.eventually("moment of run "+run, func() bool { w.stillOpen(run); return m.reached() })
			start := time.Now()
			w.az("acr", "task", "cancel-run", "--registry", "myregistry", "--run-id", run)
			w.eventually("the end of run "+run, func() bool { return w.status(run) == "Canceled" })
			took := time.Since(start)
			t.Logf("ended after %s", took.Round(10*time.Millisecond))
			if took > 15*time.Second {
				t.Errorf("it took %s to end", took)
			}
			if left := w.ofRuns(); len(left) > 0 {
				t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
			}
			if running("7301") || running("7777") {
				t.Error("the container still runs")
			}
			if log := w.az("acr", "task", "logs", "--registry", "myregistry", "--run-id", run); !strings.Contains(log, "was canceled after") {
				t.Errorf("the log ends %.200q", log[max(0, len(log)-200):])
			}
		})
	}
	w.eventually("the end of half a download", func() bool {
		files, _ := filepath.Glob(filepath.Join(w.Data, "engine", "images", "content", "ingest", "*"))
		return len(files) == 0
	})
	// One that waits for its turn.
	for i := range 2 {
		w.longRun(fmt.Sprint(7310 + i))
	}
	run := w.begin("- cmd: $Registry/base:1 true\n")
	w.az("acr", "task", "cancel-run", "--registry", "myregistry", "--run-id", run)
	if got := w.status(run); got != "Canceled" {
		t.Errorf("the queued run is %s", got)
	}
	must(t, w.Stop())
	if left := append(w.leftovers(), w.ofRuns()...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// The server is killed at named points of a run. After the next start the run is
// final with its reason, nothing of it is left, and the server works.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("whole servers")
	}
	w := newWorld(t)
	for _, m := range moments(t, w, "7302") {
		t.Run(m.name, func(t *testing.T) {
			defer w.during(t)()
			run := w.begin(m.steps)
			w.eventually("moment of run "+run, func() bool { w.stillOpen(run); return m.reached() })
			w.restart()
			w.eventually("the end of run "+run, func() bool { return w.status(run) == "Error" })
			message := w.az("acr", "task", "show-run", "--registry", "myregistry", "--run-id", run, "--query", "runErrorMessage", "--output", "tsv")
			if !strings.Contains(message, "'builtin' stopped") {
				t.Errorf("the run's error is %q", message)
			}
			w.eventually("the engine's start", func() bool { return len(w.ofRuns()) == 0 })
			if running("7302") || running("7777") {
				t.Error("the container still runs")
			}
			w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 true", "/dev/null")
		})
	}
	must(t, w.Stop())
	if left := append(w.leftovers(), w.ofRuns()...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// Killed at any time of short runs, also between a run's last step and its end.
func TestKilledAtAnyTime(t *testing.T) {
	if testing.Short() {
		t.Skip("whole servers")
	}
	w := newWorld(t)
	var runs []string
	for i := range 8 {
		runs = append(runs, w.begin("- cmd: $Registry/base:1 true\n"))
		time.Sleep(time.Duration(i) * 30 * time.Millisecond) // a different moment each time
		w.restart()
	}
	for _, run := range runs {
		var status string
		w.eventually("the end of run "+run, func() bool {
			status = w.status(run)
			return status == "Error" || status == "Succeeded"
		})
		log := w.az("acr", "task", "logs", "--registry", "myregistry", "--run-id", run)
		if status == "Succeeded" != strings.HasSuffix(log, "s") || status == "Error" != strings.Contains(log, "'builtin' stopped") {
			t.Errorf("run %s is %s, its log ends %.200q", run, status, log[max(0, len(log)-200):])
		}
	}
	must(t, w.Stop())
	if left := append(w.leftovers(), w.ofRuns()...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

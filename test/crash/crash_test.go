// Package crash_test kills servers at bad moments and looks at what is left: nothing
// acknowledged may be lost, no run may stay open, no container, mount, namespace or
// network device may remain after the next start. Servers have the default configuration; all
// tests share a network namespace of their own, so that no packet leaves the machine.
package crash_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/cli"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/test/fixture"
)

// asProgram makes the test binary an acrux.
const asProgram = "ACRUX_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	flag.Parse()
	if testing.Short() || os.Geteuid() != 0 {
		os.Exit(m.Run()) // the tests say why they do nothing
	}
	os.Exit(enginetest.MainAlone(0, m.Run))
}

// world is a data directory with a server on it, and an upstream.
type world struct {
	*fixture.Server
	t       *testing.T
	config  string
	environ []string
}

func newWorld(t *testing.T) *world { t.Helper(); return newWorldWith(t, "") }

// newWorldWith makes a world with more configuration.
func newWorldWith(t *testing.T, more string) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir(), more)
}

// newWorldIn makes a world whose data directory is in a directory.
func newWorldIn(t *testing.T, dir, more string) *world {
	t.Helper()
	enginetest.WholeServers(t)
	upstream := httptest.NewServer(fixture.Upstream())
	t.Cleanup(upstream.Close)
	image, err := fixture.BusyboxImage()
	must(t, err)
	must(t, fixture.Push(strings.TrimPrefix(upstream.URL, "http://"), "library/node:15-alpine", image))
	// What hangs is on loopback, and steps and Dockerfiles name it as well.
	config := fmt.Sprintf("registryMirrors: {docker.io: %q}\n", upstream.URL)
	w := &world{t: t, config: config + "egress: {allow: [127.0.0.1/32]}\n" + more,
		environ: append(os.Environ(), asProgram+"=1", "ACRUX_CONFIG_DIR="+t.TempDir())}
	w.start(filepath.Join(dir, "data"))
	t.Cleanup(func() {
		w.Kill()
		clearNetwork(t)
	})
	// From now on the port stays, as it does for a server that is restarted.
	w.config += "listen: " + w.Published.Address + "\n"
	w.az("group", "create", "--name", "g", "--location", "eastus")
	w.az("acr", "create", "--resource-group", "g", "--name", "myregistry", "--sku", "Basic")
	w.az("acr", "import", "--name", "myregistry", "--source", "docker.io/library/node:15-alpine", "--image", "base:1")
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) start(data string) {
	w.t.Helper()
	var err error
	w.Server, err = fixture.StartServer(os.Args[0], data, w.config, w.environ)
	must(w.t, err)
}

// restart kills the server and starts another on the same directory.
func (w *world) restart() {
	w.t.Helper()
	w.Kill()
	w.start(w.Data)
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = slices.Concat(w.environ, w.Exports())
	return cmd
}

// az runs a client command that must succeed and returns its output.
func (w *world) az(args ...string) string {
	w.t.Helper()
	var stderr bytes.Buffer
	cmd := w.command(w.t.Context(), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("az %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// patience is for machines that have much else to do.
const patience = 5 * time.Minute

// eventually waits for something that another process does.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	if until(done) {
		return
	}
	log, _ := os.ReadFile(w.Log) // to tell why
	w.t.Fatalf("waited too long for: %s; the server's log: %s", what, log)
}

// until waits for something, with patience, and reports whether it came.
func until(done func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}

func (w *world) status(run string) string {
	w.t.Helper()
	return w.az("acr", "task", "show-run", "--registry", "myregistry", "--run-id", run, "--query", "status", "--output", "tsv")
}

// longRun starts a run that sleeps in a container and returns its ID when it does.
// marker is how long it sleeps, which finds its process.
func (w *world) longRun(marker string) string {
	w.t.Helper()
	w.az("acr", "run", "--registry", "myregistry", "--no-wait", "--cmd", "$Registry/base:1 sleep "+marker, "/dev/null")
	id := w.az("acr", "task", "list-runs", "--registry", "myregistry", "--query", "[0].runId", "--output", "tsv")
	w.eventually("the container of run "+id, func() bool { return running(marker) })
	return id
}

// running reports whether a process sleeps for the marker.
func running(marker string) bool { return len(sleepers(marker)) > 0 }

// sleepers are the processes that sleep so long.
func sleepers(marker string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is good
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && string(text) == "sleep\x00"+marker+"\x00" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))) // the pattern says so
			pids = append(pids, pid)
		}
	}
	return pids
}

// leftovers are mounts below the data directory and network devices of runs.
func (w *world) leftovers() []string {
	return mountsBelow(w.t, w.Data)
}

func mountsBelow(t *testing.T, dir string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.Contains(line, dir) {
			all = append(all, line)
		}
	}
	return all
}

func TestKilledDuringARun(t *testing.T) {
	w := newWorld(t)
	run := w.longRun("7201")
	token := w.az("account", "get-access-token", "--query", "accessToken", "--output", "tsv")
	before := w.Admin
	w.restart()

	w.eventually("the end of run "+run, func() bool { return w.status(run) == "Error" })
	if message := w.az("acr", "task", "show-run", "--registry", "myregistry", "--run-id", run, "--query", "runErrorMessage", "--output", "tsv"); !strings.Contains(message, "'builtin' stopped") {
		t.Errorf("the run's error is %q", message)
	}
	if log := w.az("acr", "task", "logs", "--registry", "myregistry", "--run-id", run); !strings.HasSuffix(log, "Error: the agent 'builtin' stopped while it executed this run") {
		t.Errorf("the run's log ends %q", log)
	}
	w.eventually("the end of the container", func() bool { return !running("7201") })
	if w.Admin != before {
		t.Error("the administrator has changed")
	}
	// Keys are kept: a token from before is still good, and so is the image.
	if again := w.az("account", "get-access-token", "--query", "accessToken", "--output", "tsv"); again != token {
		t.Error("the client had to sign in again")
	}
	w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 true", "/dev/null")
	must(t, w.Stop())
	if left := w.leftovers(); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

func TestCanceled(t *testing.T) {
	w := newWorld(t)
	run := w.longRun("7202")
	w.az("acr", "task", "cancel-run", "--registry", "myregistry", "--run-id", run)
	w.eventually("the end of run "+run, func() bool { return w.status(run) == "Canceled" })
	if running("7202") {
		t.Error("the container still runs")
	}
	// Canceling what has ended changes nothing.
	w.az("acr", "task", "cancel-run", "--registry", "myregistry", "--run-id", run)
	if got := w.status(run); got != "Canceled" {
		t.Errorf("the run is %s", got)
	}
	must(t, w.Stop())
}

// Ctrl-C in a client that nobody can be asked in cancels the run.
func TestInterruptedClient(t *testing.T) {
	w := newWorld(t)
	cmd := w.command(t.Context(), "acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 sleep 7203", "/dev/null")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	w.eventually("the container", func() bool { return running("7203") })
	must(t, cmd.Process.Signal(os.Interrupt))
	if err := cmd.Wait(); err == nil {
		t.Error("the client reports success")
	}
	if running("7203") {
		t.Error("the container still runs")
	}
	if text := out.String(); !strings.Contains(text, "was canceled") {
		t.Errorf("the client said %q", text)
	}
	must(t, w.Stop())
}

// A server that is stopped ends its runs and says why.
func TestStoppedDuringARun(t *testing.T) {
	w := newWorld(t)
	run := w.longRun("7204")
	must(t, w.Stop())
	if running("7204") {
		t.Error("the container still runs")
	}
	if left := w.leftovers(); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	w.start(w.Data)
	if got := w.status(run); got != "Error" {
		t.Errorf("the run is %s", got)
	}
	must(t, w.Stop())
}

// A queued run survives: it is acknowledged, so it is executed after the restart.
func TestKilledWithAQueuedRun(t *testing.T) {
	w := newWorld(t)
	for i := range 2 { // both slots
		w.longRun(fmt.Sprint(7210 + i))
	}
	w.az("acr", "run", "--registry", "myregistry", "--no-wait", "--cmd", "$Registry/base:1 true", "/dev/null")
	run := w.az("acr", "task", "list-runs", "--registry", "myregistry", "--query", "[0].runId", "--output", "tsv")
	if got := w.status(run); got != "Queued" {
		t.Fatalf("the run is %s", got)
	}
	w.restart()
	w.eventually("success of run "+run, func() bool { return w.status(run) == "Succeeded" })
	must(t, w.Stop())
}

// Imports that were acknowledged are there after kills at any moment, or are taken
// up again.
func TestKilledDuringImports(t *testing.T) {
	w := newWorld(t)
	var acknowledged []string
	for round := range 3 {
		acknowledged = append(acknowledged, w.killDuringImports(round, round+1)...)
	}
	w.eventually("all acknowledged imports", func() bool {
		var tags string
		if tags = w.az("acr", "repository", "list", "--name", "myregistry", "--output", "tsv"); !strings.Contains(tags, "copies") {
			return false
		}
		tags = "\n" + w.az("acr", "repository", "show-tags", "--name", "myregistry", "--repository", "copies", "--output", "tsv") + "\n"
		for _, tag := range acknowledged {
			if !strings.Contains(tags, "\n"+tag+"\n") {
				return false
			}
		}
		return true
	})
	must(t, w.Stop())
}

// killDuringImports starts eight imports and kills the server after some of them were
// acknowledged, while the others are on their way. It returns those acknowledged.
func (w *world) killDuringImports(round, after int) []string {
	const imports = 8
	acknowledged, ended := make(chan string, imports), make(chan struct{}, imports)
	for i := range imports {
		tag := fmt.Sprintf("r%d-%d", round, i)
		cmd := w.command(w.t.Context(), "acr", "import", "--name", "myregistry", "--source", "docker.io/library/node:15-alpine", "--image", "copies:"+tag, "--no-wait")
		go func() {
			if cmd.Run() == nil {
				acknowledged <- tag
			}
			ended <- struct{}{}
		}()
	}
	var tags []string
	for len(tags) < after {
		select {
		case tag := <-acknowledged:
			tags = append(tags, tag)
		case <-time.After(time.Minute):
			w.t.Fatal("waited too long for the acknowledgement of an import")
		}
	}
	w.restart()
	for range imports {
		<-ended
	}
	for len(acknowledged) > 0 {
		tags = append(tags, <-acknowledged)
	}
	return tags
}

//go:build linux && cgo

// Package step_test is a list of attacks from within runs: by steps, builds, contexts, images
// and the Docker API that a run has. Each case is held by every executor it applies to: the
// embedded one as root, the same for an ordinary user, and a Docker Engine. What they promise
// is in docs/security.md, steps.md and docker-engine.md of docs/reference.
//
// Cases are subtests with names that say what is tried. Each table has a control: the same
// attempt where nothing is in its way, which must get through. All of it lives in a network
// namespace of its own, so that no packet leaves the machine.
package step_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/docker"
	"github.com/acrux/acrux/internal/engine/embedded"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// word is what no step may find in the machine's processes.
const word = "word-of-the-machine-4711"

func TestMain(m *testing.M) {
	all := func() int { return enginetest.MainAsUser(m) }
	if os.Geteuid() != 0 || enginetest.IsUser() {
		os.Exit(all())
	}
	if err := os.Setenv("MACHINE_WORD", word); err != nil {
		panic(err) // the name is good
	}
	os.Exit(enginetest.MainAlone(0, all))
}

// kind is which executor a place has.
type kind string

// The kinds of executor.
const (
	asRoot   kind = "embedded, as root"
	asUser   kind = "embedded, as an ordinary user"
	onEngine kind = "on a Docker Engine"
)

// place is where attacks are made from, and what they must not reach.
type place struct {
	kind     kind
	executor engine.Executor
	enginetest.Fixtures
	probe  string // the program, on this machine
	canary string // a file of the machine that runs must not see
	root   string // the executor's directory
	runs   int
}

// attacks are all groups of cases.
var attacks = []struct {
	name string
	try  func(*testing.T, *place)
}{
	{"walls of a step", wallsOfStep},
	{"walls of a RUN", wallsOfRun},
	{"options of steps", optionsOfSteps},
	{"options of builds", optionsOfBuilds},
	{"Dockerfiles", dockerfilesOfStrangers},
	{"links that steps make", linksOfSteps},
	{"layers of images", layersOfImages},
	{"secrets in logs", secretsInLogs},
	{"secrets in images", secretsInImages},
	{"caches of tasks", cachesOfTasks},
	{"identities of a run", identitiesOfRuns},
	{"the machine's network", networkOfMachine},
	{"frames to the machine", framesToMachine},
	{"containers by the API of a run", containersByAPI},
	{"the rest of the API of a run", restOfAPI},
	{"walls of a process that a client starts", wallsOfExec},
}

func (p *place) attack(t *testing.T) {
	for _, group := range attacks {
		t.Run(group.name, func(t *testing.T) { group.try(t, p) })
	}
}

// newPlace makes a place without its executor.
func newPlace(t *testing.T, kind kind) *place {
	t.Helper()
	p := &place{kind: kind, Fixtures: enginetest.NewFixtures(t), canary: filepath.Join(t.TempDir(), "canary"), root: t.TempDir()}
	must(t, os.WriteFile(p.canary, []byte("canary of the machine\n"), 0o666))
	if p.probe = os.Getenv("ACRUX_TEST_PROBE"); p.probe == "" {
		p.probe = buildProbe(t)
	}
	return p
}

func buildProbe(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "probe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", to, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// takesWhile skips what takes longer than a short test may, and asks for root.
func takesWhile(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs of three executors take longer than a short test may")
	}
	if os.Geteuid() != 0 {
		t.Fatal("running containers needs root")
	}
}

func reachable() *egress.Dialer {
	return &egress.Dialer{Policy: egress.Policy{Loopback: true}}
}

// TestEmbedded makes all attacks against the embedded engine.
func TestEmbedded(t *testing.T) {
	takesWhile(t)
	kind := asRoot
	if enginetest.IsUser() {
		kind = asUser
	}
	if kind == asRoot {
		t.Setenv(outsideAt, lan(t))
	}
	p := newPlace(t, kind)
	e, err := embedded.Open(t.Context(), embedded.Options{Root: p.root, Dialer: reachable(), Egress: true})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	p.executor = e
	p.attack(t)
}

// TestDockerEngine makes all attacks against a Docker Engine of the test's own.
func TestDockerEngine(t *testing.T) {
	takesWhile(t)
	t.Parallel()
	p := newPlace(t, onEngine)
	e, err := docker.Open(t.Context(), docker.Options{Root: p.root, Host: enginetest.StartDockerEngine(t), Egress: true, Dialer: reachable()})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	p.executor = e
	p.attack(t)
}

// ended are the lines by which a test program says how its tests ended.
var ended = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL): TestEmbedded/(.*) \([0-9.]+s\)$`)

// TestOrdinaryUser has an ordinary user run TestEmbedded, and tells how each case ended.
func TestOrdinaryUser(t *testing.T) {
	takesWhile(t)
	t.Parallel()
	cmd := enginetest.UserCommand(t, "-test.run", "^TestEmbedded$", "-test.v")
	probe := filepath.Join(cmd.Dir, "probe")
	must(t, os.Rename(buildProbe(t), probe))
	must(t, os.Chmod(probe, 0o755))
	cmd.Env = append(cmd.Env, "ACRUX_TEST_PROBE="+probe, outsideAt+"="+lan(t))
	out, err := cmd.CombinedOutput()
	found := ended.FindAllStringSubmatch(string(out), -1)
	for _, test := range found {
		t.Run(strings.ReplaceAll(test[2], "/", ": "), func(t *testing.T) {
			if test[1] == "FAIL" {
				t.Error("it failed for an ordinary user; the log of the parent test says how")
			}
		})
	}
	if err != nil || len(found) == 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

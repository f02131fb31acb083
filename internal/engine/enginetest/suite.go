package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acrux/acrux/internal/engine"
)

// Fixtures are what the suite's runs pull from and push to.
type Fixtures struct {
	Public  *Registry // lets everyone in
	Private *Registry // wants its refresh token
	Base    string    // Busybox in Public
	Locked  string    // Busybox in Private
}

// NewFixtures serves two registries with a base image each until the test ends.
func NewFixtures(t testing.TB) Fixtures {
	t.Helper()
	f := Fixtures{Public: NewRegistry(t, ""), Private: NewRegistry(t, "refresh")}
	image := Busybox(t)
	f.Base = f.Public.Push(t, "baseimages/busybox:1", image)
	f.Locked = f.Private.Push(t, "baseimages/busybox:1", image)
	return f
}

// Lack is something that not every executor has. What the suite leaves out for it is
// skipped by name.
type Lack string

// What an executor may lack.
const (
	Identity    Lack = "an endpoint for the identities of a run"
	Privilege   Lack = "privileged containers"
	Ports       Lack = "ports that are published"
	CacheScopes Lack = "layers that are kept apart by scope"
	RunExitCode Lack = "the exit code of a RUN whose program does not exist"
)

// RunSuite runs the tests that every executor must pass, except for what this one lacks.
// open gives each test an executor of its own and sees to its end; the executor must
// reach the loopback interface.
func RunSuite(t *testing.T, open func(t *testing.T) engine.Executor, f Fixtures, lacks ...Lack) {
	for _, group := range []map[string]func(*suite){commandTests, optionTests, buildTests, cacheTests, isolationTests} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				test(&suite{T: t, executor: open(t), Fixtures: f, runs: new(atomic.Int64), lacks: lacks})
			})
		}
	}
}

// limits reports whether the executor can limit what containers take. One that cannot says
// so by a method.
func (s *suite) limits() bool {
	limiter, ok := s.executor.(interface{ Limits() bool })
	return !ok || limiter.Limits()
}

// suite is one test of the suite.
type suite struct {
	*testing.T
	Fixtures
	executor engine.Executor
	runs     *atomic.Int64 // opened so far
	lacks    []Lack
}

// needs skips the test if the executor lacks something.
func (s *suite) needs(what Lack) {
	s.Helper()
	if slices.Contains(s.lacks, what) {
		s.Skipf("the executor lacks %s", what)
	}
}

// on is the same test as part of t.
func (s *suite) on(t *testing.T) *suite {
	part := *s
	part.T = t
	return &part
}

// run is a scope with its directories.
type run struct {
	engine.Scope
	spec engine.RunSpec
	s    *suite
}

// open opens a run that has these credentials.
func (s *suite) open(credentials engine.Credentials) *run {
	s.Helper()
	spec := engine.RunSpec{
		ID:        fmt.Sprintf("run%d", s.runs.Add(1)),
		Workspace: s.TempDir(), Home: s.TempDir(), Credentials: credentials, Privileged: true,
	}
	return s.openSpec(spec)
}

func (s *suite) openSpec(spec engine.RunSpec) *run {
	s.Helper()
	scope, err := s.executor.Open(s.Context(), spec)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := scope.Close(); err != nil {
			s.Errorf("closing a run: %v", err)
		}
	})
	return &run{Scope: scope, spec: spec, s: s}
}

// command runs a command that must be an outcome, not an error.
func (r *run) command(c engine.Command) (engine.CommandResult, string) {
	r.s.Helper()
	if c.Image == "" {
		c.Image = r.s.Base
	}
	var out bytes.Buffer
	result, err := r.Command(r.s.Context(), c, &out)
	if err != nil {
		r.s.Fatalf("command %+v: %v\n%s", c.Args, err, out.String())
	}
	return result, out.String()
}

// shell runs a script that must succeed, and returns what it printed. The image must
// be there already for nothing else to be printed.
func (r *run) shell(script string) string {
	r.s.Helper()
	result, out := r.command(engine.Command{Args: []string{"sh", "-c", script}})
	if result.ExitCode != 0 {
		r.s.Fatalf("script %q: exit code %d\n%s", script, result.ExitCode, out)
	}
	return out
}

// pull makes the base image known to the run, so that commands print nothing about it.
func (r *run) pull() {
	r.s.Helper()
	r.shell("true")
}

// file writes a file into the run's workspace and returns its path.
func (r *run) file(name, content string) string {
	r.s.Helper()
	path := filepath.Join(r.spec.Workspace, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.s.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.s.Fatal(err)
	}
	return path
}

// build builds the Dockerfile in the run's workspace.
func (r *run) build(dockerfile string, change func(*engine.Build)) (engine.BuildResult, string) {
	r.s.Helper()
	b := engine.Build{ContextDir: r.spec.Workspace, Dockerfile: r.file("Dockerfile", dockerfile)}
	if change != nil {
		change(&b)
	}
	var out bytes.Buffer
	result, err := r.Build(r.s.Context(), b, &out)
	if err != nil {
		r.s.Fatalf("build: %v\n%s", err, out.String())
	}
	return result, out.String()
}

func (r *run) mustBuild(dockerfile string, tags ...string) (engine.BuildResult, string) {
	r.s.Helper()
	result, out := r.build(dockerfile, func(b *engine.Build) { b.Tags = tags })
	if !result.OK {
		r.s.Fatalf("the build failed:\n%s", out)
	}
	return result, out
}

func (r *run) push(image string) (engine.PushResult, string) {
	r.s.Helper()
	var out bytes.Buffer
	result, err := r.Push(r.s.Context(), image, &out)
	if err != nil {
		r.s.Fatalf("push: %v\n%s", err, out.String())
	}
	return result, out.String()
}

// contains fails the test unless text has all parts.
func (s *suite) contains(text string, parts ...string) {
	s.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.Errorf("lacks %q:\n%s", part, text)
		}
	}
}

// canceled returns a context that ends with cause once started is written to.
func (s *suite) canceledBy(cause error) (context.Context, *trigger) {
	ctx, cancel := context.WithCancelCause(s.Context())
	return ctx, &trigger{word: "started", pull: func() { cancel(cause) }}
}

// trigger is an output that calls pull when a word is written to it.
type trigger struct {
	word string
	pull func()
	seen bytes.Buffer
}

// Write implements io.Writer.
func (t *trigger) Write(p []byte) (int, error) {
	t.seen.Write(p)
	if strings.Contains(t.seen.String(), t.word) {
		t.pull()
	}
	return len(p), nil
}

//go:build linux && cgo

package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// holdings is what an executor has of the kernel and in its store.
type holdings struct {
	Mounts, Namespaces, Groups, Devices, Processes int
	Files, Goroutines, Threads                     int
	Snapshots, Images, Directories                 int
}

// beyond lists what there is more of than before. Threads are kept by the Go runtime for
// later, within bounds.
func (h holdings) beyond(before holdings) map[string]int {
	more := map[string]int{
		"mounts": h.Mounts - before.Mounts, "network namespaces": h.Namespaces - before.Namespaces, "control groups": h.Groups - before.Groups,
		"devices": h.Devices - before.Devices, "processes": h.Processes - before.Processes, "open files": h.Files - before.Files,
		"goroutines": h.Goroutines - before.Goroutines, "threads": h.Threads - before.Threads - 8,
		"snapshots": h.Snapshots - before.Snapshots, "images": h.Images - before.Images, "directories": h.Directories - before.Directories,
	}
	maps.DeleteFunc(more, func(_ string, n int) bool { return n <= 0 })
	return more
}

func (e *Executor) holdings(t *testing.T) holdings {
	t.Helper()
	h := holdings{Goroutines: runtime.NumGoroutine()}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, e.root) {
			h.Mounts++
		}
		if strings.Contains(line, e.root) && strings.Contains(line, " nsfs ") {
			h.Namespaces++
		}
	}
	group := container.CgroupName(filepath.Join(e.root, "containers"))
	for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*/*/*"} {
		h.Groups += count(pattern, func(path string) bool { return strings.Contains(path, group) && isDir(path) })
	}
	h.Processes = count("/proc/[0-9]*/cgroup", func(path string) bool {
		text, _ := os.ReadFile(path) // a process may just have ended
		return strings.Contains(string(text), group)
	})
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	h.Devices = len(links)
	h.Files, h.Threads = entries("/proc/self/fd"), entries("/proc/self/task")
	h.Directories = entries(e.path("runs")) + entries(e.path("net")) + entries(e.path("containers"))
	ctx := namespaces.WithNamespace(context.Background(), imagestore.Namespace)
	db := e.store.Metadata()
	if err := db.Snapshotter(imagestore.Snapshotter).Walk(ctx, func(context.Context, snapshots.Info) error { h.Snapshots++; return nil }); err != nil {
		t.Fatal(err)
	}
	images, err := metadata.NewImageStore(db).List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h.Images = len(images)
	return h
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func count(pattern string, which func(path string) bool) (n int) {
	paths, _ := filepath.Glob(pattern) // the pattern is a good one
	for _, path := range paths {
		if which(path) {
			n++
		}
	}
	return n
}

func entries(dir string) int {
	found, _ := os.ReadDir(dir) // a directory that is not there has none
	return len(found)
}

// settled waits until nothing changes any more, for longer than the executor waits before
// it tidies up, and returns what is held then.
func (e *Executor) settled(t *testing.T) holdings {
	t.Helper()
	before := e.holdings(t)
	for since := time.Now(); time.Since(since) < quietTime+time.Second; time.Sleep(50 * time.Millisecond) {
		runtime.GC()
		if now := e.holdings(t); now != before {
			since, before = time.Now(), now
		}
	}
	return before
}

// sessionTime is how long BuildKit may take to find out that a client is gone: it asks a
// session for its health some times before it gives it up.
const sessionTime = 2 * time.Minute

// back waits until no more is held than before, or for longer than that takes, and
// returns what is held then.
func (e *Executor) back(t *testing.T, before holdings) holdings {
	t.Helper()
	for began := time.Now(); ; {
		now := e.settled(t)
		more := now.beyond(before)
		if len(more) == 0 || time.Since(began) > sessionTime {
			return now
		}
		t.Logf("after %v there is still more than before: %v", time.Since(began).Round(time.Second), more)
	}
}

// oneRun is a run of two steps: it builds an image and runs it.
func (e *Executor) oneRun(ctx context.Context, id, base, dir string) error {
	s, err := e.Open(ctx, engine.RunSpec{ID: id, Workspace: dir, Home: dir, CacheScope: "many"})
	if err != nil {
		return err
	}
	var out bytes.Buffer
	err = errors.Join(twoSteps(ctx, s, base, dir, &out), s.Close())
	if err != nil {
		err = fmt.Errorf("run %s: %w\n%s", id, err, out.String())
	}
	return err
}

func twoSteps(ctx context.Context, s engine.Scope, base, dir string, out io.Writer) error {
	if err := s.CreateNetwork(ctx, engine.Network{Name: "net"}); err != nil {
		return err
	}
	if err := s.CreateVolume(ctx, "secret", map[string][]byte{"key": []byte("x")}); err != nil {
		return err
	}
	built, err := s.Build(ctx, engine.Build{ContextDir: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Tags: []string{"own"}}, out)
	if err != nil || !built.OK {
		return errors.Join(err, fmt.Errorf("the build ended with %+v", built))
	}
	c := engine.Command{Name: "step", Image: "own", Network: "net", Ports: []string{"80"}, Args: []string{"cat", "/made", "/run/v/key"},
		Mounts: []engine.Mount{{Volume: "secret", Path: "/run/v"}, {Volume: "data", Path: "/data"}}}
	ran, err := s.Command(ctx, c, out)
	if err != nil || ran.ExitCode != 0 {
		return errors.Join(err, fmt.Errorf("the command ended with %+v", ran))
	}
	return nil
}

// stacks says what goroutines do, those that do the same together.
func stacks() string {
	var text strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&text, 1) // a builder takes everything
	return text.String()
}

// Runs leave nothing behind, however many there are.
func TestManyRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("many runs take some time")
	}
	e := openIn(t, t.TempDir())
	base := enginetest.NewFixtures(t).Base
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+base+"\nRUN echo made > /made\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	runs := func(from, to int) {
		var wait sync.WaitGroup
		slots := make(chan struct{}, 4)
		for i := from; i < to; i++ {
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				if err := e.oneRun(t.Context(), fmt.Sprintf("run%d", i), base, dir); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	many := 200
	if enginetest.RaceDetector {
		many = 40 // each takes longer then; make test has the rest without it
	}
	runs(0, 8)
	before := e.settled(t)
	var heap [2]runtime.MemStats
	runtime.ReadMemStats(&heap[0])
	runs(8, 8+many)
	after := e.back(t, before)
	runtime.ReadMemStats(&heap[1])
	for what, n := range after.beyond(before) {
		t.Errorf("%d runs left %s: %d", many, what, n)
		if what == "goroutines" {
			t.Log(stacks())
		}
	}
	if grown := int64(heap[1].HeapAlloc) - int64(heap[0].HeapAlloc); grown > 4<<20 {
		t.Errorf("%d runs left %d bytes of memory", many, grown)
	}
	t.Logf("before and after: %+v; memory %d and %d KiB", after, heap[0].HeapAlloc>>10, heap[1].HeapAlloc>>10)
}

// Nor do runs that end in another way than well.
func TestEndsLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("counting what is left takes some time")
	}
	e := openIn(t, t.TempDir())
	base := enginetest.NewFixtures(t).Base
	dir := t.TempDir()
	dockerfile := func(text string) engine.Build {
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+base+"\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
		return engine.Build{ContextDir: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Tags: []string{"x"}}
	}
	soon := func(text string) (context.Context, io.Writer) {
		ctx, cancel := context.WithCancelCause(t.Context())
		return ctx, &onText{text: text, then: func() { cancel(errors.New("canceled")) }}
	}
	ends := map[string]func(s engine.Scope){
		"failure": func(s engine.Scope) {
			s.Command(t.Context(), engine.Command{Image: base, Args: []string{"false"}}, io.Discard)
			s.Build(t.Context(), dockerfile("RUN false\n"), io.Discard)
			s.Command(t.Context(), engine.Command{Image: base, Args: []string{"no-such-program"}}, io.Discard)
		},
		"cancel": func(s engine.Scope) {
			ctx, out := soon("started")
			s.Command(ctx, engine.Command{Image: base, Args: []string{"sh", "-c", "echo started; sleep 1000"}}, out)
			ctx, out = soon("building")
			s.Build(ctx, dockerfile("RUN echo build''ing; sleep 1000\n"), out)
		},
		"timeout": func(s engine.Scope) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			s.Command(ctx, engine.Command{Image: base, Args: []string{"sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000"}}, io.Discard)
		},
		"detached": func(s engine.Scope) {
			s.Command(t.Context(), engine.Command{Name: "d", Image: base, Detach: true, Ports: []string{"80"}, Args: []string{"sleep", "1000"}}, io.Discard)
			s.Command(t.Context(), engine.Command{Name: "k", Image: base, Keep: true, Args: []string{"true"}}, io.Discard)
		},
	}
	all := func(round int) {
		for name, end := range ends {
			s, err := e.Open(t.Context(), engine.RunSpec{ID: fmt.Sprint(name, round), Workspace: dir, Home: dir})
			if err != nil {
				t.Fatal(err)
			}
			end(s)
			if err := s.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	all(0)
	before := e.settled(t)
	for round := range 4 {
		all(round + 1)
	}
	for what, n := range e.back(t, before).beyond(before) {
		t.Errorf("left %s: %d", what, n)
	}
}

// onText does something once the text was written.
type onText struct {
	text string
	then func()
	seen bytes.Buffer
}

func (o *onText) Write(p []byte) (int, error) {
	o.seen.Write(p)
	if bytes.Contains(o.seen.Bytes(), []byte(o.text+"\n")) {
		o.then()
	}
	return len(p), nil
}

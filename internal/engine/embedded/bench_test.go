//go:build linux && cgo

package embedded

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// BenchmarkOpen opens and closes an executor on a directory that is there already.
func BenchmarkOpen(b *testing.B) {
	needRoot(b)
	root := b.TempDir()
	for b.Loop() {
		e, err := Open(b.Context(), Options{Root: root})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkScope opens and closes a run.
func BenchmarkScope(b *testing.B) {
	e := openIn(b, b.TempDir())
	for b.Loop() {
		s, err := e.Open(b.Context(), engine.RunSpec{ID: "run"})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommand runs a trivial container whose image is there.
func BenchmarkCommand(b *testing.B) {
	e := openIn(b, b.TempDir())
	base := enginetest.NewFixtures(b).Base
	s := openScope(b, e, "run")
	for b.Loop() {
		mustRun(b, s, engine.Command{Image: base, Args: []string{"true"}})
	}
}

// BenchmarkOverProcess runs the same program as a step and as a bare process, in turns.
func BenchmarkOverProcess(b *testing.B) {
	e := openIn(b, b.TempDir())
	base := enginetest.NewFixtures(b).Base
	s := openScope(b, e, "run")
	mustRun(b, s, engine.Command{Image: base, Args: []string{"true"}})
	var step, process []time.Duration
	for b.Loop() {
		began := time.Now()
		mustRun(b, s, engine.Command{Image: base, Args: []string{"true"}})
		step = append(step, time.Since(began))
		began = time.Now()
		if err := exec.CommandContext(b.Context(), "busybox", "true").Run(); err != nil {
			b.Fatal(err)
		}
		process = append(process, time.Since(began))
	}
	enginetest.ReportOver(b, step, process)
}

func mustRun(b *testing.B, s engine.Scope, c engine.Command) {
	b.Helper()
	result, err := s.Command(b.Context(), c, io.Discard)
	if err != nil || result.ExitCode != 0 {
		b.Fatalf("result %+v, error %v", result, err)
	}
}

// BenchmarkBuild builds and pushes an image of six instructions, in a run of its own
// each time: with everything cached, and with a changed context.
func BenchmarkBuild(b *testing.B) {
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", changed), func(b *testing.B) {
			e := openIn(b, b.TempDir())
			f := enginetest.NewFixtures(b)
			n := 0
			for b.Loop() {
				if changed {
					n++
				}
				buildAndPush(b, e, f, n)
			}
		})
	}
}

// BenchmarkBuildCold opens an executor on an empty directory, builds and pushes.
func BenchmarkBuildCold(b *testing.B) {
	f := enginetest.NewFixtures(b)
	for b.Loop() {
		e, err := Open(b.Context(), Options{Root: b.TempDir(), Dialer: loopback()})
		if err != nil {
			b.Fatal(err)
		}
		buildAndPush(b, e, f, 0)
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func buildAndPush(b *testing.B, e *Executor, f enginetest.Fixtures, content int) {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{
		"file":       fmt.Sprint(content),
		"Dockerfile": "ARG REGISTRY_NAME\nFROM ${REGISTRY_NAME}/baseimages/busybox:1\nCOPY . /src\nRUN cd /src && ls > /out && cat /out\nEXPOSE 80\nCMD [\"cat\", \"/out\"]\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	s, err := e.Open(b.Context(), engine.RunSpec{ID: "run", Workspace: dir, Home: dir})
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	tag := f.Public.Host + "/bench:1"
	built, err := s.Build(b.Context(), engine.Build{
		ContextDir: dir, Dockerfile: dir + "/Dockerfile", Tags: []string{tag},
		Args: map[string]string{"REGISTRY_NAME": f.Public.Host},
	}, &out)
	if err != nil || !built.OK {
		b.Fatalf("result %+v, error %v\n%s", built, err, out.String())
	}
	if pushed, err := s.Push(b.Context(), tag, &out); err != nil || !pushed.OK {
		b.Fatalf("result %+v, error %v\n%s", pushed, err, out.String())
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkUsersOver does the same as a user of the machine and as one of the run's own, in
// turns: a trivial step, and a build of six instructions.
func BenchmarkUsersOver(b *testing.B) {
	needRoot(b)
	base := enginetest.NewFixtures(b).Base
	open := func(machine bool) engine.Scope {
		root := b.TempDir()
		e, err := Open(b.Context(), Options{Root: root, Dialer: loopback(), MachineUsers: machine})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { e.Close() })
		return openScope(b, e, "run")
	}
	plain, own := open(true), open(false)
	dir := plain.(*Scope).spec.Workspace
	file := filepath.Join(dir, "Dockerfile")
	ownFile := filepath.Join(own.(*Scope).spec.Workspace, "Dockerfile")
	step := func(s engine.Scope) { mustRun(b, s, engine.Command{Image: base, Args: []string{"true"}}) }
	build := func(s engine.Scope, file string, n int) {
		text := fmt.Sprintf("FROM %s\nENV N=%d\nRUN echo a > /a\nRUN echo b > /b\nRUN echo c > /c\nCMD true\n", base, n)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		result, err := s.Build(b.Context(), engine.Build{ContextDir: filepath.Dir(file), Dockerfile: file, Tags: []string{"x"}}, io.Discard)
		if err != nil || !result.OK {
			b.Fatal(result, err)
		}
	}
	for what, do := range map[string]func(s engine.Scope, file string, n int){
		"step":  func(s engine.Scope, _ string, _ int) { step(s) },
		"build": build,
	} {
		b.Run(what, func(b *testing.B) {
			var with, without []time.Duration
			step(plain)
			step(own)
			for n := 0; b.Loop(); n++ {
				began := time.Now()
				do(plain, file, n)
				without = append(without, time.Since(began))
				began = time.Now()
				do(own, ownFile, n)
				with = append(with, time.Since(began))
			}
			enginetest.ReportOver(b, with, without)
			b.ReportMetric(float64(median(with))/float64(median(without)), "ratio-p50")
		})
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

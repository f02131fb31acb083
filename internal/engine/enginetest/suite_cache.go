package enginetest

import (
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/engine"
)

var cacheTests = map[string]func(*suite){
	"LayersAreKept":       (*suite).testLayersAreKept,
	"LayersAreNotPlanted": (*suite).testLayersAreNotPlanted,
	"CacheMountsAreKept":  (*suite).testCacheMountsAreKept,
}

// inScope opens a run whose builds share their cache with those of the same scope.
func (s *suite) inScope(scope string) *run {
	s.Helper()
	return s.openSpec(engine.RunSpec{
		ID: fmt.Sprintf("run%d", s.runs.Add(1)), Workspace: s.TempDir(), Home: s.TempDir(), CacheScope: scope,
	})
}

// made builds a Dockerfile and returns what it left in /made.
func (r *run) made(dockerfile string, change func(*engine.Build)) (string, engine.Layers) {
	r.s.Helper()
	result, out := r.build(dockerfile, func(b *engine.Build) {
		b.Tags = []string{"made"}
		if change != nil {
			change(b)
		}
	})
	if !result.OK {
		r.s.Fatalf("the build failed:\n%s", out)
	}
	_, content := r.command(engine.Command{Image: "made", Args: []string{"cat", "/made"}})
	return strings.TrimSpace(content), result.Layers
}

// A later run of the same scope finds what an earlier one made, also when that has ended.
// Runs of other scopes, and of none, make it anew.
func (s *suite) testLayersAreKept() {
	s.needs(CacheScopes)
	dockerfile := "FROM " + s.Base + "\nRUN cat /proc/sys/kernel/random/uuid > /made\nRUN true\n"
	first := s.inScope("/tasks/one")
	made, layers := first.made(dockerfile, nil)
	if want := (engine.Layers{Total: 2}); layers != want {
		s.Errorf("the first build made %+v, want %+v", layers, want)
	}
	if err := first.Close(); err != nil {
		s.Fatal(err)
	}
	again, layers := s.inScope("/tasks/one").made(dockerfile, nil)
	if want := (engine.Layers{Total: 2, Cached: 2}); again != made || layers != want {
		s.Errorf("the scope's next run made %q with %+v, want %q with %+v", again, layers, made, want)
	}
	anew, layers := s.inScope("/tasks/one").made(dockerfile, func(b *engine.Build) { b.NoCache = true })
	if anew == made || layers.Cached != 0 {
		s.Errorf("without the cache %q was made with %+v", anew, layers)
	}
	for _, scope := range []string{"/tasks/one/more", "/tasks/On", "", ""} {
		other, layers := s.inScope(scope).made(dockerfile, nil)
		if other == made || layers.Cached != 0 {
			s.Errorf("scope %q has what another made: %q, %+v", scope, other, layers)
		}
	}
}

// What decides a RUN without being part of how the builder knows it works within a scope
// only: here a proxy, which may answer with what it likes.
func (s *suite) testLayersAreNotPlanted() {
	s.needs(CacheScopes)
	dockerfile := "FROM " + s.Base + "\nRUN echo \"from ${http_proxy:-the origin}\" > /made\n"
	planted, _ := s.inScope("/tasks/evil").made(dockerfile, func(b *engine.Build) { b.Args = map[string]string{"http_proxy": "http://evil.example"} })
	if planted != "from http://evil.example" {
		s.Fatalf("the proxy was not used: %q", planted)
	}
	if got, _ := s.inScope("/tasks/good").made(dockerfile, nil); got != "from the origin" {
		s.Errorf("another scope's build gives %q", got)
	}
}

// Cache mounts outlive a run, for its scope alone.
func (s *suite) testCacheMountsAreKept() {
	dockerfile := "FROM " + s.Base + "\nARG N\nRUN --mount=type=cache,target=/cache echo x >> /cache/n; wc -l < /cache/n > /made\n"
	for i, want := range []string{"1", "2"} {
		got, _ := s.inScope("/tasks/one").made(dockerfile, func(b *engine.Build) { b.Args = map[string]string{"N": want} })
		if got != want {
			s.Errorf("build %d finds %s lines, want %s", i+1, got, want)
		}
	}
	if got, _ := s.inScope("/tasks/two").made(dockerfile, nil); got != "1" {
		s.Errorf("another scope's build finds %s lines", got)
	}
}

package docker

import (
	"context"
	"fmt"
	"io"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
)

// Build implements engine.Scope.
func (s *Scope) Build(ctx context.Context, b engine.Build, out io.Writer) (engine.BuildResult, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return engine.BuildResult{}, err
	}
	defer done()
	request, refusal := runimages.Request(s.spec, s.images, b)
	if refusal != "" {
		_, err := fmt.Fprintln(out, refusal)
		return engine.BuildResult{ExitCode: 1}, err
	}
	if what := unsupported(b); what != "" {
		_, err := fmt.Fprintf(out, "%s is not supported on a Docker Engine\n", what)
		return engine.BuildResult{ExitCode: 1}, err
	}
	s.note(out)
	// The engine is shared: what its BuildKit keeps under the name of a run must be of this one.
	request.RunID = s.names.prefix()
	request.NoNetwork = request.NoNetwork || !s.executor.options.Egress
	result, err := s.executor.builder.Build(ctx, request, place{s}, out)
	if err != nil {
		return engine.BuildResult{}, err
	}
	return runimages.Result(result), nil
}

// unsupported names what the engine's BuildKit would do without the run's credentials, or
// leave out without a word.
func unsupported(b engine.Build) string {
	switch {
	case len(b.CacheFrom) > 0:
		return "--cache-from"
	case len(b.CacheTo) > 0:
		return "--cache-to"
	case b.ShmSize > 0:
		return "--shm-size"
	case len(b.Ulimits) > 0:
		return "--ulimit"
	}
	return ""
}

// Pull implements engine.Puller.
func (s *Scope) Pull(ctx context.Context, image string, out io.Writer) (engine.PullResult, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return engine.PullResult{}, err
	}
	defer done()
	return s.executor.machine.Pull(ctx, s.images, image, s.spec.OwnRegistry, out)
}

// Push implements engine.Scope.
func (s *Scope) Push(ctx context.Context, image string, out io.Writer) (engine.PushResult, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return engine.PushResult{}, err
	}
	defer done()
	return runimages.Push(ctx, s.images, image, out)
}

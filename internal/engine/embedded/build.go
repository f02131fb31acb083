//go:build linux && cgo

package embedded

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
	s.building.Add(1)
	defer s.building.Add(-1)
	_, release := s.executor.builds.hold(request.CacheScope)
	result, err := s.executor.builder.Build(ctx, request, out)
	if e := release(); err == nil {
		err = e
	}
	if err != nil {
		return engine.BuildResult{}, err
	}
	if result.OK {
		s.know(b.Tags...)
	}
	return runimages.Result(result), nil
}

// Pull implements engine.Puller.
func (s *Scope) Pull(ctx context.Context, image string, out io.Writer) (engine.PullResult, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return engine.PullResult{}, err
	}
	defer done()
	result, err := s.executor.machine.Pull(ctx, s.images, image, s.spec.OwnRegistry, out)
	if result.OK {
		s.know(image)
	}
	return result, err
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

// Package enginetest has what tests of the engine need: Fake, an Executor that
// follows a script and starts nothing, and the suite that every Executor passes.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/acrux/acrux/internal/engine"
)

// Fake is an Executor that runs nothing. What its scopes do is decided by the On
// functions; those that are nil succeed and print what a docker client would.
// Everything asked of it is kept. Set the functions before first use.
type Fake struct {
	OnBuild   func(ctx context.Context, build engine.Build, out io.Writer) (engine.BuildResult, error)
	OnCommand func(ctx context.Context, command engine.Command, out io.Writer) (engine.CommandResult, error)
	OnPush    func(ctx context.Context, image string, out io.Writer) (engine.PushResult, error)
	OnPull    func(ctx context.Context, image string, out io.Writer) (engine.PullResult, error)

	mu     sync.Mutex
	scopes []*Scope
}

var (
	_ engine.Executor = (*Fake)(nil)
	_ engine.Scope    = (*Scope)(nil)
	_ engine.Puller   = (*Scope)(nil)
)

// Scope is a scope of a Fake.
type Scope struct {
	Spec engine.RunSpec
	fake *Fake

	mu       sync.Mutex
	calls    []string
	builds   []engine.Build
	commands []engine.Command
	volumes  map[string]map[string][]byte
	closed   bool
}

// Open implements engine.Executor.
func (f *Fake) Open(_ context.Context, spec engine.RunSpec) (engine.Scope, error) {
	scope := &Scope{Spec: spec, fake: f, volumes: map[string]map[string][]byte{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scopes = append(f.scopes, scope)
	return scope, nil
}

// Scopes returns the scopes opened so far.
func (f *Fake) Scopes() []*Scope {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.scopes)
}

// Calls lists what was asked of the scope, in order, one text each: "network N",
// "volume V", "build TAGS", "command NAME", "push I", "pull I", "close".
func (s *Scope) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Builds returns the builds so far.
func (s *Scope) Builds() []engine.Build {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.builds)
}

// Commands returns the commands so far.
func (s *Scope) Commands() []engine.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Closed reports whether the scope was closed.
func (s *Scope) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// note keeps a call, together with what keep stores.
func (s *Scope) note(keep func(), format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	if keep != nil {
		keep()
	}
}

// CreateNetwork implements engine.Scope.
func (s *Scope) CreateNetwork(ctx context.Context, network engine.Network) error {
	s.note(nil, "network %s", network.Name)
	return context.Cause(ctx)
}

// CreateVolume implements engine.Scope.
func (s *Scope) CreateVolume(ctx context.Context, name string, files map[string][]byte) error {
	s.note(func() { s.volumes[name] = files }, "volume %s", name)
	return context.Cause(ctx)
}

// Build implements engine.Scope.
func (s *Scope) Build(ctx context.Context, build engine.Build, out io.Writer) (engine.BuildResult, error) {
	s.note(func() { s.builds = append(s.builds, build) }, "build %s", strings.Join(build.Tags, " "))
	if s.fake.OnBuild != nil {
		return s.fake.OnBuild(ctx, build, out)
	}
	fmt.Fprintln(out, "Sending build context to Docker daemon  25.6kB")
	fmt.Fprintln(out, "Successfully built 41b49a112663")
	return engine.BuildResult{OK: true, ImageID: Digest("41b49a112663"), Digest: Digest("1")}, nil
}

// Command implements engine.Scope.
func (s *Scope) Command(ctx context.Context, command engine.Command, out io.Writer) (engine.CommandResult, error) {
	s.note(func() { s.commands = append(s.commands, command) }, "command %s", command.Name)
	if s.fake.OnCommand != nil {
		return s.fake.OnCommand(ctx, command, out)
	}
	return engine.CommandResult{ContainerID: strings.Repeat("0", 64)}, nil
}

// Push implements engine.Scope.
func (s *Scope) Push(ctx context.Context, image string, out io.Writer) (engine.PushResult, error) {
	s.note(nil, "push %s", image)
	if s.fake.OnPush != nil {
		return s.fake.OnPush(ctx, image, out)
	}
	repository, _, _ := strings.Cut(image, ":")
	fmt.Fprintf(out, "The push refers to repository [%s]\n", repository)
	return engine.PushResult{OK: true, Digest: Digest("1")}, nil
}

// Pull implements engine.Puller.
func (s *Scope) Pull(ctx context.Context, image string, out io.Writer) (engine.PullResult, error) {
	s.note(nil, "pull %s", image)
	if s.fake.OnPull != nil {
		return s.fake.OnPull(ctx, image, out)
	}
	fmt.Fprintf(out, "pulled %s\n", image)
	return engine.PullResult{OK: true, Digest: Digest("1")}, nil
}

// Close implements engine.Scope.
func (s *Scope) Close() error {
	var err error
	s.note(func() {
		if s.closed {
			err = errors.New("the scope was closed twice")
		}
		s.closed = true
	}, "close")
	return err
}

// Digest makes a digest that begins with text and goes on with its last character.
func Digest(text string) string {
	return "sha256:" + text + strings.Repeat(text[len(text)-1:], 64-len(text))
}

// Wait is for On functions that take until they are told to stop: it returns the
// cause for which ctx ended.
func Wait(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

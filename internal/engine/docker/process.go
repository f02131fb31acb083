package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
)

// process is a container that was created, from its start to its end.
type process struct {
	scope   *Scope
	id      string
	command engine.Command
}

// run runs the container to its end, and passes on what it reads and prints.
func (p *process) run(ctx context.Context, out io.Writer) (engine.CommandResult, error) {
	// Neither ends with ctx: a container whose time is up may still say something.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	streams, err := p.client().ContainerAttach(ctx, p.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true, Stdin: p.command.Stdin != nil})
	if err != nil {
		return engine.CommandResult{}, p.scope.outcome(err)
	}
	defer streams.Close()
	wait := p.client().ContainerWait(life, p.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if err := p.start(ctx); err != nil {
		return engine.CommandResult{}, err
	}
	copied := make(chan error, 1)
	stdout, stderr := engine.Streams(out)
	go func() { _, err := stdcopy.StdCopy(stdout, stderr, streams.Reader); copied <- err }()
	if p.command.Stdin != nil {
		go func() {
			io.Copy(streams.Conn, p.command.Stdin) // ends with the reader, or with the connection
			streams.CloseWrite()
		}()
	}
	ended := make(chan struct{})
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(killed); p.kill(ctx, ended) })
	code, err := await(wait)
	close(ended)
	interrupted := !stop()
	if interrupted {
		<-killed
	}
	if err == nil {
		err = <-copied
	}
	if interrupted {
		return engine.CommandResult{}, context.Cause(ctx)
	}
	if err != nil {
		return engine.CommandResult{}, fmt.Errorf("following a container: %w", err)
	}
	return p.result(ctx, code)
}

func (p *process) client() *client.Client { return p.scope.executor.engine }

// start starts the container. That it cannot be is an outcome.
func (p *process) start(ctx context.Context) error {
	_, err := p.client().ContainerStart(ctx, p.id, client.ContainerStartOptions{})
	return startError(p.scope.outcome(err))
}

// startError gives an outcome the code that a docker client exits with. The engine says
// why in words only.
func startError(err error) error {
	var no *runimages.Outcome
	if !errors.As(err, &no) {
		return err
	}
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(no.Text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("executable file not found", "no such file or directory"):
		return &runimages.Outcome{Code: 127, Text: no.Text}
	case has("permission denied", "is a directory", "not a directory"):
		return &runimages.Outcome{Code: 126, Text: no.Text}
	}
	return err
}

// await waits for the end of a container.
func await(wait client.ContainerWaitResult) (int, error) {
	select {
	case end := <-wait.Result:
		if end.Error != nil {
			return 0, errors.New(end.Error.Message)
		}
		return int(end.StatusCode), nil
	case err := <-wait.Error:
		return 0, err
	}
}

// result says how the container ended.
func (p *process) result(ctx context.Context, code int) (engine.CommandResult, error) {
	result := engine.CommandResult{ExitCode: code, ContainerID: p.id}
	state, err := p.client().ContainerInspect(ctx, p.id, client.ContainerInspectOptions{})
	if err != nil {
		return result, fmt.Errorf("asking how a container ended: %w", err)
	}
	result.OOMKilled = state.Container.State != nil && state.Container.State.OOMKilled
	return result, nil
}

// kill ends a container: politely first if its time was up, at once otherwise.
func (p *process) kill(ctx context.Context, ended <-chan struct{}) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && p.signal(late, "TERM") {
		timer := time.NewTimer(engine.KillGrace)
		defer timer.Stop()
		select {
		case <-ended:
			return
		case <-timer.C:
		}
	}
	p.signal(late, "KILL")
}

// signal reports whether the container was there to take the signal.
func (p *process) signal(ctx context.Context, name string) bool {
	_, err := p.client().ContainerKill(ctx, p.id, client.ContainerKillOptions{Signal: name})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a conflict: it has ended
		p.scope.executor.log.Warn("a container could not be signaled", "run", p.scope.spec.ID, "container", p.id, "error", err)
	}
	return err == nil
}

// detach starts the container and leaves it to the scope.
func (p *process) detach(ctx context.Context) error {
	s := p.scope
	wait := p.client().ContainerWait(s.life, p.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if err := p.start(ctx); err != nil {
		return errors.Join(err, p.remove(err))
	}
	s.work.Go(func() {
		_, err := await(wait)
		if s.life.Err() != nil {
			return // the scope removes it
		}
		if err = errors.Join(err, p.remove(err)); err != nil {
			s.executor.log.Warn("a detached container ended badly", "run", s.spec.ID, "container", p.id, "error", err)
		}
	})
	return nil
}

// remove removes the container, unless its name is to stay taken. One that failed to
// start has never had it.
func (p *process) remove(failure error) error {
	var no *runimages.Outcome
	if p.command.Keep && !errors.As(failure, &no) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	return p.scope.executor.removeContainer(ctx, p.id)
}

//go:build linux && cgo

package embedded

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/dockerapi"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/runnet"
)

// box is a container of the run from when its name is taken until it is free again:
//
//	created ──▶ running ──▶ exited ──▶ (removed)
//
// Steps' containers go through all of it in one call, others as they are told.
type box struct {
	id, name   string // without a name it is called by its ID
	spec       dockerapi.Spec
	bare       bool // sees nothing of the run but what it mounts
	created    time.Time
	journal    *journal // nil if only the step's log has what it writes
	input      *input   // nil if nothing can be put in
	done, gone chan struct{}

	// Under the scope's lock.
	state             dockerapi.State
	busy              bool // being started
	imageID           string
	stopSignal        int
	exit              container.Exit
	started, finished time.Time
	handle            *container.Handle
	place             place
	endpoint          *runnet.Endpoint // nil before and after, and if it uses another's network
	addr              netip.Addr
	ports             []engine.Port // as they are published
	end               context.CancelCauseFunc
}

// errRemoved ends a container that is removed by force.
var errRemoved = errors.New("the container was removed")

// killed is how a container ends that was killed.
const killed = 137

// maxBoxes bounds the containers of a run.
const maxBoxes = 256

// take makes a container under a name that nobody has.
func (s *Scope) take(x *box) error {
	x.id, x.created = newID(), time.Now()
	x.done, x.gone, x.state = make(chan struct{}), make(chan struct{}), dockerapi.Created
	if x.name == "" {
		x.name = x.id
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.boxes[x.name]; other != nil {
		return daemonError("Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to remove (or rename) that container to be able to reuse that name.", x.name, other.id)
	}
	if len(s.boxes) >= maxBoxes {
		return daemonError("a run cannot have more than %d containers", maxBoxes)
	}
	s.boxes[x.name] = x
	return nil
}

// release makes the name free again.
func (s *Scope) release(x *box) error {
	s.mu.Lock()
	if s.boxes[x.name] != x {
		s.mu.Unlock()
		return nil
	}
	delete(s.boxes, x.name)
	s.mu.Unlock()
	close(x.gone)
	if x.journal != nil {
		return x.journal.remove()
	}
	return nil
}

// run runs a prepared container to its end and notes what becomes of it.
func (s *Scope) run(ctx context.Context, x *box, b *bundle, stdout, stderr io.Writer, started func()) (container.Exit, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	x.end = cancel
	s.mu.Unlock()
	exit, err := b.run(ctx, stdout, stderr, func(h *container.Handle) {
		s.mu.Lock()
		x.state, x.handle, x.started = dockerapi.Running, h, time.Now()
		s.mu.Unlock()
		started()
	})
	if errors.Is(err, errRemoved) {
		exit, err = container.Exit{Code: killed}, nil
	}
	s.ended(x, exit, err)
	return exit, err
}

// ended notes the end of a container, or that it did not start.
func (s *Scope) ended(x *box, exit container.Exit, err error) {
	var no *runimages.Outcome
	if errors.As(err, &no) {
		exit.Code = no.Code
	}
	s.mu.Lock()
	x.state, x.exit, x.handle, x.finished = dockerapi.Exited, exit, nil, time.Now()
	x.place, x.endpoint, x.addr, x.ports, x.end = place{}, nil, netip.Addr{}, nil, nil
	s.mu.Unlock()
	if x.journal != nil {
		x.journal.end()
	}
	if x.input != nil {
		x.input.Close()
	}
	close(x.done)
}

// launch prepares a container and leaves it running beside the caller, as long as the
// scope lives. It returns once the container runs, or why it does not.
func (s *Scope) launch(ctx context.Context, x *box, prepare func() (*bundle, error), finish func(*bundle) error) error {
	started, failed := make(chan struct{}), make(chan error, 1)
	// The caller's context ends with the call.
	life, cancel := context.WithCancelCause(s.life)
	s.work.Go(func() {
		defer cancel(nil)
		b, err := prepare()
		if err == nil {
			_, err = s.run(life, x, b, x.journal.stream(dockerapi.Stdout), x.journal.stream(dockerapi.Stderr), func() { close(started) })
		} else {
			s.ended(x, container.Exit{Code: dockerFailed}, err)
		}
		if e := finish(b); e != nil && err == nil {
			err = e
		}
		select {
		case <-started:
			if err != nil && !errors.Is(err, ErrClosed) {
				s.executor.log.Warn("a detached container ended badly", "run", s.spec.ID, "container", x.id, "error", err)
			}
		default:
			failed <- err
		}
	})
	select {
	case <-started:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		cancel(context.Cause(ctx))
		return context.Cause(ctx)
	}
}

// dockerFailed is what docker run exits with if a container never started.
const dockerFailed = 125

// box finds a container by name, ID, or the beginning of an ID.
func (s *Scope) box(ref string) (*box, error) {
	ref = strings.TrimPrefix(ref, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.boxes[ref]; x != nil {
		return x, nil
	}
	var found *box
	for _, x := range s.boxes {
		switch {
		case x.id == ref:
			return x, nil
		case ref == "" || !strings.HasPrefix(x.id, ref):
		case found != nil:
			return nil, problem.New(problem.Invalid, "Ambiguous", "multiple IDs found with provided prefix: %s", ref)
		default:
			found = x
		}
	}
	if found == nil {
		return nil, problem.New(problem.NotFound, "NoSuchContainer", "No such container: %s", ref)
	}
	return found, nil
}

// show is a container as it is now. The caller holds the lock.
func (x *box) show() dockerapi.Container {
	c := dockerapi.Container{
		ID: x.id, Name: x.name, Spec: x.spec, ImageID: x.imageID, State: x.state, ExitCode: x.exit.Code, OOMKilled: x.exit.OOM,
		StopSignal: cmp.Or(x.spec.StopSignal, x.stopSignal), Created: x.created, Started: x.started, Finished: x.finished, Addr: x.addr, Ports: x.ports, Readable: x.journal != nil,
	}
	if c.Name == c.ID {
		c.Name = c.ID[:12]
	}
	return c
}

// Containers implements dockerapi.Engine.
func (s *Scope) Containers() []dockerapi.Container {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []dockerapi.Container
	for _, x := range s.boxes {
		all = append(all, x.show())
	}
	slices.SortFunc(all, func(a, b dockerapi.Container) int { return b.Created.Compare(a.Created) })
	return all
}

package agent

import (
	"context"
	"sync"

	"github.com/acrux/acrux/internal/tasks/lease"
)

// reporter tells the control plane how far a run is, without making the run wait.
type reporter struct {
	leaser lease.Leaser
	key    lease.Key

	mu      sync.Mutex
	pending []lease.StepState
	wake    chan struct{}
	done    chan struct{}
}

// newReporter starts reporting. The caller closes the reporter.
func newReporter(ctx context.Context, leaser lease.Leaser, key lease.Key) *reporter {
	r := &reporter{leaser: leaser, key: key, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go r.loop(ctx)
	return r
}

// Running implements engine.Listener.
func (r *reporter) Running() { r.add(nil) }

// Step implements engine.Listener.
func (r *reporter) Step(state lease.StepState) { r.add([]lease.StepState{state}) }

func (r *reporter) add(states []lease.StepState) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.pending = append(r.pending, states...)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Close reports what is left and waits for that, or until ctx ends.
func (r *reporter) Close(ctx context.Context) {
	close(r.wake)
	select {
	case <-r.done:
	case <-ctx.Done():
	}
}

func (r *reporter) loop(ctx context.Context) {
	defer close(r.done)
	for range r.wake {
		r.mu.Lock()
		states := r.pending
		r.pending = nil
		r.mu.Unlock()
		// A report that is lost is no harm: the end of the run says what counts.
		_ = r.leaser.Report(ctx, r.key, lease.Progress{Stage: lease.Running, Steps: states})
	}
}

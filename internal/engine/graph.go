package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// errOtherStepFailed ends the steps that run beside one that failed.
var errOtherStepFailed = errors.New("another step failed")

// steps walks the graph: each step starts as soon as all it waits for is done. The
// first failure ends those that run and is returned.
func (r *Run) steps(ctx context.Context) error {
	if r.Listener != nil {
		r.Listener.Running()
	}
	walk := newWalk(r.Plan)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type ended struct {
		step int
		err  error
	}
	done := make(chan ended)
	running := 0
	start := func(ready []int) {
		for _, i := range ready {
			running++
			go func() { done <- ended{i, r.guarded(ctx, i)} }()
		}
	}
	start(walk.ready(taskfile.Root))
	var first error
	for running > 0 {
		end := <-done
		running--
		switch {
		case first != nil:
		case end.err != nil:
			first = end.err
			cancel(errOtherStepFailed)
		default:
			start(walk.ready(r.Plan.Steps[end.step].ID))
		}
	}
	return first
}

// guarded executes a step, with a panic turned into an error: it must not end the
// runs of others.
func (r *Run) guarded(ctx context.Context, position int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.step(ctx, position)
}

// walk counts for each step what it still waits for.
type walk struct {
	children map[string][]int
	waits    []int
}

func newWalk(plan *taskfile.Plan) *walk {
	w := &walk{children: map[string][]int{}, waits: make([]int, len(plan.Steps))}
	for i, step := range plan.Steps {
		w.waits[i] = len(step.Parents)
		for _, parent := range step.Parents {
			w.children[parent] = append(w.children[parent], i)
		}
	}
	return w
}

// ready marks a parent as done and returns the steps that waited only for it.
func (w *walk) ready(parent string) []int {
	var ready []int
	for _, child := range w.children[parent] {
		if w.waits[child]--; w.waits[child] == 0 {
			ready = append(ready, child)
		}
	}
	return ready
}

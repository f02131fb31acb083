package engine

import (
	"context"
	"time"

	"github.com/acrux/acrux/internal/tasks/taskfile"
	"github.com/acrux/acrux/internal/wait"
)

// Pushes of one image, and the pause after the first; each pause doubles.
const (
	pushAttempts = 3
	pushPause    = 250 * time.Millisecond
)

// push pushes the images of a step, one after the other.
func (r *Run) push(ctx context.Context, step *taskfile.Step) error {
	for _, image := range step.Push {
		if err := r.pushImage(ctx, step, image); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) pushImage(ctx context.Context, step *taskfile.Step, image string) error {
	pause := pushPause
	for try := 1; ; try++ {
		r.Log.Printf("Pushing image: %s, attempt %d", image, try)
		output := r.Log.Output()
		out := newFinder(output)
		result, err := r.Scope.Push(ctx, image, out)
		if err == nil && !result.OK && try == pushAttempts {
			r.hint(out, result.Refused, true)
		}
		output.Close()
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case result.OK:
			r.Log.Printf("Successfully pushed image: %s", image)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.pushed[imageKey(image)] = result.Digest
			return nil
		case try == pushAttempts:
			r.noteReason(step.ID, out)
			return Failure("failed to push images successfully")
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

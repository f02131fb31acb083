package agent

import (
	"context"
	"errors"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/wait"
)

// renewPause is how long to wait after a failed renewal.
const renewPause = time.Second

// heartbeat renews a lease until ctx ends, and ends the run with the cause if it
// is canceled or the lease is lost. A control plane that does not answer is
// tolerated for as long as the last term lasts: after that the lease is gone, and
// somebody else may have been told so. One that answers that its store is away is
// tolerated for longer: nobody executes the run anew, and if somebody was told after all
// that it is lost, the next answer says so, and until then its credentials are refused.
func heartbeat(ctx context.Context, leaser lease.Leaser, l *lease.Lease, end context.CancelCauseFunc) {
	term := time.Until(l.Deadline)
	deadline := l.Deadline
	for {
		asked := time.Now()
		err := leaser.Renew(ctx, l.Key)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			deadline = asked.Add(term)
		case errors.Is(err, lease.ErrCanceled):
			// The lease is still needed: to clean up and to say how the run ended.
			end(err)
			deadline = asked.Add(term)
			_ = wait.For(ctx, renewPause)
		case errors.Is(err, lease.ErrLost):
			end(err)
			return
		case asked.After(deadline) && !problem.Is(err, problem.Away):
			// One that was begun in time may fail because this process slept.
			end(lease.ErrLost)
			return
		default:
			_ = wait.For(ctx, renewPause)
		}
	}
}

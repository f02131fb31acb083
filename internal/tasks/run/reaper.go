package run

import (
	"context"
	"time"
)

// reapEvery is how often lost agents are looked for.
const reapEvery = time.Second

// waitingEvery is how often runs are looked for that nobody can take.
const waitingEvery = 10 * time.Second

// Reaper ends runs whose agents are lost, and those that no agent comes for. It is a background
// duty.
type Reaper struct {
	Runs   *Service
	Failed func(error)
}

// Run reaps until ctx ends. When this process was stopped meanwhile, or the clock was set,
// agents have a term to say that they are still there: those in this process slept as well,
// and nobody else's renewals were heard. So they have when the store was away.
func (r *Reaper) Run(ctx context.Context) error {
	ticker := time.NewTicker(reapEvery)
	defer ticker.Stop()
	last := time.Now()
	notBefore := last
	waitingAt := last.Add(lookAround) // when agents have had time to ask
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := time.Now()
		if interrupted(now.Sub(last), now.Round(0).Sub(last.Round(0))) {
			notBefore, waitingAt = now.Add(Term), now.Add(lookAround)
		}
		last = now
		before := now
		if now.Before(notBefore) {
			before = time.Time{} // nobody's; it is seen whether the store is there
		}
		err := r.Runs.EndLost(ctx, "", before)
		if err == nil && now.After(waitingAt) {
			waitingAt = now.Add(waitingEvery)
			err = r.Runs.EndWaiting(ctx, now)
		}
		if err != nil && ctx.Err() == nil {
			r.Failed(err)
			notBefore, waitingAt = time.Now().Add(Term), time.Now().Add(lookAround)
		}
	}
}

// interrupted tells from the time between two looks, as it passed and as the clock shows it,
// that this process did not run all the while, or that the clock was set: by more than agents
// have to spare between two renewals.
func interrupted(passed, shown time.Duration) bool {
	const spare = Term / 4
	return passed > reapEvery+spare || (shown-passed).Abs() > spare
}

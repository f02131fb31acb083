package run

import (
	"context"
	"time"
)

// reapEvery is how often lost agents are looked for.
const reapEvery = time.Second

// Reaper ends runs whose agents are lost. It is a background duty.
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
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := time.Now()
		if interrupted(now.Sub(last), now.Round(0).Sub(last.Round(0))) {
			notBefore = now.Add(Term)
		}
		last = now
		before := now
		if now.Before(notBefore) {
			before = time.Time{} // nobody's; it is seen whether the store is there
		}
		if err := r.Runs.EndLost(ctx, "", before); err != nil && ctx.Err() == nil {
			r.Failed(err)
			notBefore = time.Now().Add(Term)
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

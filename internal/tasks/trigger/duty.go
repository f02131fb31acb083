package trigger

import (
	"context"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/wait"
)

// lookEvery is how often events are looked for that other servers have written.
const lookEvery = time.Second

// Run looks at the clock, at what was pushed, and at images elsewhere until ctx ends. It is a
// background duty.
func (s *Service) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, watch := range []func(context.Context){s.watchClock, s.watchPushes, s.watchElsewhere} {
		all.Go(func() { watch(ctx) })
	}
	all.Wait()
	return nil
}

// watchClock ticks when a minute begins, by the wall clock, which may be set: so it looks at
// it each second.
func (s *Service) watchClock(ctx context.Context) {
	var seen time.Time // the minute that was done
	for {
		now := time.Now()
		if minute := now.Truncate(time.Minute); !minute.Equal(seen) {
			if err := s.Tick(ctx, now); err != nil {
				s.failed(ctx, "timers", err)
			} else {
				seen = minute
			}
		}
		now = time.Now()
		if wait.For(ctx, min(time.Second, now.Truncate(time.Minute).Add(time.Minute).Sub(now))) != nil {
			return
		}
	}
}

func (s *Service) watchPushes(ctx context.Context) {
	for {
		bell := s.Pushed()
		if err := s.Look(ctx, time.Now()); err != nil {
			s.failed(ctx, "base images", err)
			bell = nil
		}
		if wait.Until(ctx, lookEvery, bell) != nil {
			return
		}
	}
}

func (s *Service) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.Log.Error("looking at "+what+" failed; it is tried again", "err", err)
	}
}

package trigger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/wait"
)

// Interval is how long it is until a registry elsewhere is asked again: a random time between
// the two, so that the images of an installation are not asked for all at once. The zero value
// asks never.
type Interval struct{ Least, Most time.Duration }

// DefaultInterval is ACR's, run-semantics 8.3.
var DefaultInterval = Interval{10 * time.Minute, time.Hour}

// ParseInterval reads "10m-1h", "30m", or "off".
func ParseInterval(text string) (i Interval, err error) {
	if text == "off" {
		return Interval{}, nil
	}
	least, most, both := strings.Cut(text, "-")
	if i.Least, err = time.ParseDuration(least); err == nil {
		i.Most = i.Least
		if both {
			i.Most, err = time.ParseDuration(most)
		}
	}
	if err != nil || i.Least < time.Second || i.Most < i.Least {
		return Interval{}, fmt.Errorf(`%q is not a time such as 30m, nor two such as 10m-1h, nor off`, text)
	}
	return i, nil
}

func (i Interval) off() bool { return i.Most == 0 }

// next is the time until the next question.
func (i Interval) next() time.Duration { return i.Least + rand.N(i.Most-i.Least+1) }

// backOff is the time until the next question after so many failures, which doubles it each time,
// up to a day or what was asked for.
func (i Interval) backOff(failures int, asked time.Duration) time.Duration {
	return max(asked, min(i.next()<<min(failures, 16), max(24*time.Hour, i.Most)))
}

// Poll asks registries elsewhere about the images that are due, and starts the tasks that were
// built on those that have moved. Who is killed on the way leaves them to the next time.
func (s *Service) Poll(ctx context.Context, now time.Time) error {
	for {
		due, err := s.Store.DuePolls(ctx, now, batch)
		if err != nil || len(due) == 0 {
			return err
		}
		r := &round{Service: s, now: now, updates: map[string]*update{}, asked: map[string]bool{}}
		if err := r.ask(ctx, due); err != nil {
			return err
		}
		// Images are often built anew together: what else these tasks wait for is asked at once,
		// so that one run does.
		others, err := s.Store.PollsOf(ctx, r.tasks())
		if err != nil {
			return err
		}
		if err := r.ask(ctx, others); err != nil {
			return err
		}
		if err := s.fireAll(ctx, r.updates, now); err != nil {
			return err
		}
	}
}

// tasks are those that have updates.
func (r *round) tasks() (ids []arm.ID) {
	for _, u := range r.updates {
		ids = append(ids, u.task)
	}
	return ids
}

// ask asks about images, those of a host one after the other.
func (r *round) ask(ctx context.Context, polls []Poll) error {
	byHost := map[string][]Poll{}
	for _, p := range polls {
		if host, _, _ := strings.Cut(p.Image, "/"); !r.asked[p.Image] {
			r.asked[p.Image] = true
			byHost[host] = append(byHost[host], p)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for host, polls := range byHost {
		group.Go(func() error { return r.askHost(ctx, host, polls) })
	}
	return group.Wait()
}

// askHost asks about images of a host until that is too busy.
func (r *round) askHost(ctx context.Context, host string, polls []Poll) error {
	for _, p := range polls {
		next := r.now.Add(r.Every.next())
		claimed, err := r.Store.MovePoll(ctx, p, next, p.Failures)
		if err != nil {
			return err
		}
		if !claimed {
			continue // another server asks
		}
		p.Due = next
		busy, err := r.askImage(ctx, p)
		if err != nil {
			return err
		}
		if busy > 0 {
			return r.Store.HoldPolls(ctx, host, r.now.Add(busy))
		}
	}
	return nil
}

// lookElsewhereEvery is how often it is looked for images that are due.
const lookElsewhereEvery = 5 * time.Second

// watchElsewhere polls until ctx ends.
func (s *Service) watchElsewhere(ctx context.Context) {
	if s.Every.off() {
		return
	}
	for {
		if err := s.Poll(ctx, time.Now()); err != nil {
			s.failed(ctx, "images elsewhere", err)
		}
		if wait.For(ctx, min(lookElsewhereEvery, s.Every.Least)) != nil {
			return
		}
	}
}

package trigger

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/tasks/ncrontab"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

// Service plans, looks and starts runs. Its fields are set once.
type Service struct {
	Log        *slog.Logger
	Store      Store
	Tasks      *task.Service
	Runs       *run.Service
	Registries *registry.Registries
	Content    *registry.Content
	Outbox     registry.Outbox
	// Pushed returns a channel that is closed after the next push. Take it before looking.
	Pushed func() <-chan struct{}
	// Elsewhere asks registries that are not of this installation, as often as Every says.
	Elsewhere *registryclient.Client
	Every     Interval
}

// Plan implements task.Planner.
func (s *Service) Plan(ctx context.Context, t task.Task, now time.Time) error {
	var timers []Timer
	if t.Properties.Trigger != nil {
		for _, one := range t.Properties.Trigger.Timer {
			timer := Timer{Task: t.ID, Name: one.Name, Schedule: one.Schedule}
			if schedule, err := ncrontab.Parse(one.Schedule); err == nil { // what an older version took is never due
				timer.Due = schedule.Next(now)
			}
			timers = append(timers, timer)
		}
	}
	if err := s.Store.PutTimers(ctx, t.ID, timers); err != nil {
		return err
	}
	if err := s.planSources(ctx, t); err != nil {
		return err
	}
	return s.planBases(ctx, t, now)
}

// atOnce is how many tasks are started at the same time: their transactions share commits.
const atOnce = 16

// fire starts a run for a cause, or says why there is none, in one transaction with whatever
// first does, which may find that there is nothing to do. What is wrong with the task is the
// entry's reason; an error is one of ours, and what was to be done is still to be done.
func (s *Service) fire(ctx context.Context, e Entry, cause run.Cause, first func(ctx context.Context) (todo bool, err error)) error {
	return s.start(ctx, &e, cause, first)
}

// start is fire, and writes into the entry what came of it.
func (s *Service) start(ctx context.Context, e *Entry, cause run.Cause, first func(ctx context.Context) (todo bool, err error)) error {
	e.Times = 1
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		todo, err := first(ctx)
		if err != nil || !todo {
			return err
		}
		if e.Reason == "" {
			queued, err := s.Runs.Schedule(ctx, e.Task.Parent(),
				run.Request{Type: "TaskRunRequest", TaskID: e.Task.String(), Cause: cause}, e.Time)
			if err != nil {
				return err
			}
			e.Run = queued.Properties.RunID
		}
		return s.record(ctx, *e)
	})
	var refused *problem.Error
	if errors.As(err, &refused) && !refused.Kind.Ours() && !errors.Is(err, errDone) {
		e.Run, e.Reason = "", refused.Message
		err = s.Store.InTx(ctx, func(ctx context.Context) error {
			if todo, err := first(ctx); err != nil || !todo {
				return err
			}
			return s.record(ctx, *e)
		})
	}
	if errors.Is(err, errDone) {
		e.Run, e.Reason = "", errDone.Error()
		return nil
	}
	s.Runs.Wake()
	return err
}

// errDone takes back a run that another server, or this one before it was killed, has made.
var errDone = errors.New("the cause has made its run already")

// record keeps an entry. The same once more without a run is counted, not kept once more.
func (s *Service) record(ctx context.Context, e Entry) error {
	if e.Run == "" {
		e.Cause = e.Reason
		if e.Kind == ByImage {
			image, _, _ := strings.Cut(e.Object, ": ")
			e.Cause += " " + image
		}
	}
	fresh, err := s.Store.Record(ctx, e)
	if err == nil && !fresh && e.Run != "" {
		return errDone
	}
	return err
}

// Tick starts what is due at a time.
func (s *Service) Tick(ctx context.Context, now time.Time) error {
	for {
		due, err := s.Store.DueTimers(ctx, now, 16*atOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(atOnce)
		for _, t := range due {
			group.Go(func() error { return s.fireTimer(ctx, t, now) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
}

// fireTimer starts a run for a timer that is due, and plans it anew. What was due more than a
// minute ago was missed: nobody looked, or the clock was set. It is not made up for.
func (s *Service) fireTimer(ctx context.Context, t Timer, now time.Time) error {
	schedule, wrong := ncrontab.Parse(t.Schedule)
	var next time.Time
	if wrong == nil {
		next = schedule.Next(latest(t.Due, now.Add(-time.Minute)))
	}
	move := func(ctx context.Context) (bool, error) { return s.Store.MoveTimer(ctx, t, next) }
	if wrong != nil { // an older version took it
		e := Entry{Task: t.Task, Kind: ByTimer, Trigger: t.Name, Object: t.Schedule, Time: now, Reason: "the schedule is not valid: " + wrong.Error()}
		return s.fire(ctx, e, run.Cause{}, move)
	}
	if t.Due.IsZero() { // an older version left it
		_, err := move(ctx)
		return err
	}
	e := Entry{Task: t.Task, Kind: ByTimer, Trigger: t.Name, Object: arm.Time(t.Due), Time: now, Cause: arm.Time(t.Due)}
	if notes := schedule.Notes(); len(notes) > 0 {
		e.Object += " (" + strings.Join(notes, "; ") + ")"
	}
	var err error
	if now.Sub(t.Due) >= time.Minute {
		e.Reason = "missed: no server looked at that time, or its clock was set"
	} else if e.Reason, err = s.timerReason(ctx, t); err != nil {
		return err
	}
	cause := run.Cause{Timer: &run.TimerTrigger{Name: t.Name, Occurrence: arm.Time(t.Due)}}
	return s.fire(ctx, e, cause, move)
}

// timerReason says why a timer makes no run; "" if it does.
func (s *Service) timerReason(ctx context.Context, t Timer) (string, error) {
	found, err := s.Tasks.Get(ctx, t.Task)
	if problem.Is(err, problem.NotFound) {
		return "the task was deleted", nil
	}
	if err != nil || found.Properties.Trigger == nil {
		return "", err
	}
	for _, one := range found.Properties.Trigger.Timer {
		if strings.EqualFold(one.Name, t.Name) {
			_, why := enabled(found, one.Status)
			return why, nil
		}
	}
	return "the timer was removed", nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// LogOf lists what the triggers of a task saw, the newest first: up to n entries, with IDs below
// before, if that is not zero.
func (s *Service) LogOf(ctx context.Context, id arm.ID, before int64, n int) ([]Entry, error) {
	t, err := s.Tasks.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.Store.Entries(ctx, t.ID, before, n)
}

// Sweep removes entries and deliveries that are older than Keep.
func (s *Service) Sweep(ctx context.Context, now time.Time) error {
	for _, prune := range []func(context.Context, time.Time, int) (int64, error){s.Store.PruneEntries, s.Store.PruneDeliveries} {
		for n := int64(batch); n == batch; {
			var err error
			if n, err = prune(ctx, now.Add(-Keep), batch); err != nil {
				return err
			}
		}
	}
	return nil
}

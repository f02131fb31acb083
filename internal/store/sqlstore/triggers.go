package sqlstore

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// Triggers implements trigger.Store.
type Triggers struct{ *DB }

var _ trigger.Store = Triggers{}

// never is when a timer is due that is never.
const never = math.MaxInt64

func dueOf(t time.Time, planned bool) int64 {
	switch {
	case !t.IsZero():
		return micros(t)
	case planned:
		return never
	}
	return 0
}

// PutTimers implements trigger.Store.
func (s Triggers) PutTimers(ctx context.Context, id arm.ID, timers []trigger.Timer) error {
	var names []string
	for _, t := range timers {
		names = append(names, t.Name)
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := s.keepNamed(ctx, `task_timers`, id, names); err != nil {
			return err
		}
		for _, t := range timers {
			if _, err := s.exec(ctx, `INSERT INTO task_timers (task, name, spelling, id, schedule, due) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (task, name) DO UPDATE SET spelling = excluded.spelling, schedule = excluded.schedule,
					due = CASE WHEN task_timers.schedule = excluded.schedule THEN task_timers.due ELSE excluded.due END`,
				id.Key(), strings.ToLower(t.Name), t.Name, id.String(), t.Schedule, dueOf(t.Due, true)); err != nil {
				return fmt.Errorf("planning timer %s of %s: %w", t.Name, id, err)
			}
		}
		return nil
	})
}

// keepNamed removes the triggers of a task from their table whose names are none of these.
func (s Triggers) keepNamed(ctx context.Context, table string, id arm.ID, names []string) error {
	args, gone := []any{id.Key()}, `DELETE FROM `+table+` WHERE task = $1`
	for _, name := range names {
		args = append(args, strings.ToLower(name))
	}
	if len(names) > 0 {
		gone += ` AND name NOT IN ` + tuples(2, 1, len(names))
	}
	_, err := s.exec(ctx, gone, args...)
	return err
}

func scanTimer(r row) (t trigger.Timer, err error) {
	var id string
	var due int64
	if err = r.Scan(&id, &t.Name, &t.Schedule, &due); err != nil {
		return t, err
	}
	if due != 0 && due != never {
		t.Due = fromMicros(due)
	}
	t.Task, err = arm.ParseID(id)
	return t, err
}

// DueTimers implements trigger.Store.
func (s Triggers) DueTimers(ctx context.Context, at time.Time, n int) ([]trigger.Timer, error) {
	return collect(ctx, s.DB, scanTimer, `SELECT id, spelling, schedule, due FROM task_timers WHERE due <= $1 ORDER BY due, task, name LIMIT $2`,
		micros(at), n)
}

// MoveTimer implements trigger.Store.
func (s Triggers) MoveTimer(ctx context.Context, t trigger.Timer, due time.Time) (bool, error) {
	n, err := s.exec(ctx, `UPDATE task_timers SET due = $4 WHERE task = $1 AND name = $2 AND due = $3 AND schedule = $5`,
		t.Task.Key(), strings.ToLower(t.Name), dueOf(t.Due, false), dueOf(due, true), t.Schedule)
	return n > 0, err
}

// NextDue implements trigger.Store.
func (s Triggers) NextDue(ctx context.Context, id arm.ID) (map[string]time.Time, error) {
	all, err := collect(ctx, s.DB, scanTimer, `SELECT id, spelling, schedule, due FROM task_timers WHERE task = $1`, id.Key())
	next := map[string]time.Time{}
	for _, t := range all {
		if !t.Due.IsZero() {
			next[strings.ToLower(t.Name)] = t.Due
		}
	}
	return next, err
}

const selectBase = `SELECT id, image, kind, seen FROM task_bases `

func scanBase(r row) (b trigger.Base, err error) {
	var id string
	if err = r.Scan(&id, &b.Image, &b.Kind, &b.Digest); err != nil {
		return b, err
	}
	b.Task, err = arm.ParseID(id)
	return b, err
}

// PutBases implements trigger.Store.
func (s Triggers) PutBases(ctx context.Context, id arm.ID, bases []trigger.Base) (fresh []trigger.Base, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		old, err := collect(ctx, s.DB, scanBase, selectBase+`WHERE task = $1`, id.Key())
		if err != nil {
			return err
		}
		gone := map[string]trigger.Base{}
		for _, b := range old {
			gone[b.Image+" "+b.Kind] = b
		}
		for _, b := range bases {
			if _, there := gone[b.Image+" "+b.Kind]; !there {
				fresh = append(fresh, b)
			}
			delete(gone, b.Image+" "+b.Kind)
			if _, err := s.exec(ctx, `INSERT INTO task_bases (task, image, kind, id, built, seen) VALUES ($1, $2, $3, $4, $5, $5)
				ON CONFLICT (task, image, kind) DO UPDATE SET built = excluded.built, seen = excluded.seen
				WHERE task_bases.built <> excluded.built`, id.Key(), b.Image, b.Kind, id.String(), b.Digest); err != nil {
				return fmt.Errorf("writing what %s is built on: %w", id, err)
			}
		}
		for _, b := range gone {
			if _, err := s.exec(ctx, `DELETE FROM task_bases WHERE task = $1 AND image = $2 AND kind = $3`, id.Key(), b.Image, b.Kind); err != nil {
				return err
			}
		}
		return nil
	})
	return fresh, err
}

// BuiltOn implements trigger.Store.
func (s Triggers) BuiltOn(ctx context.Context, images []string, digest string) ([]trigger.Base, error) {
	if len(images) == 0 {
		return nil, nil
	}
	args := []any{digest}
	for _, image := range images {
		args = append(args, image)
	}
	return collect(ctx, s.DB, scanBase, selectBase+`WHERE image IN `+tuples(2, 1, len(images))+` AND seen <> $1`, args...)
}

// MoveBase implements trigger.Store.
func (s Triggers) MoveBase(ctx context.Context, b trigger.Base, digest string) (bool, error) {
	n, err := s.exec(ctx, `UPDATE task_bases SET seen = $5 WHERE task = $1 AND image = $2 AND kind = $3 AND seen = $4`,
		b.Task.Key(), b.Image, b.Kind, b.Digest, digest)
	return n > 0, err
}

// Record implements trigger.Store.
func (s Triggers) Record(ctx context.Context, e trigger.Entry) (fresh bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, `UPDATE trigger_entries SET times = times + 1, object = $5, created = $6
			WHERE task = $1 AND kind = $2 AND name = $3 AND cause = $4 AND run = ''`,
			e.Task.Key(), e.Kind, e.Trigger, e.Cause, e.Object, micros(e.Time))
		if err != nil || n > 0 {
			return err
		}
		n, err = s.exec(ctx, `INSERT INTO trigger_entries (task, kind, name, cause, object, run, reason, times, created)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
			e.Task.Key(), e.Kind, e.Trigger, e.Cause, e.Object, e.Run, e.Reason, max(1, e.Times), micros(e.Time))
		fresh = n > 0
		return err
	})
	return fresh, err
}

// Entries implements trigger.Store.
func (s Triggers) Entries(ctx context.Context, id arm.ID, before int64, n int) ([]trigger.Entry, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return collect(ctx, s.DB, func(r row) (e trigger.Entry, err error) {
		var created int64
		err = r.Scan(&e.ID, &e.Kind, &e.Trigger, &e.Cause, &e.Object, &e.Run, &e.Reason, &e.Times, &created)
		e.Task, e.Time = id, fromMicros(created)
		return e, err
	}, `SELECT id, kind, name, cause, object, run, reason, times, created FROM trigger_entries
		WHERE task = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, id.Key(), before, n)
}

// PruneEntries implements trigger.Store.
func (s Triggers) PruneEntries(ctx context.Context, before time.Time, n int) (int64, error) {
	return s.exec(ctx, `DELETE FROM trigger_entries WHERE id IN (SELECT id FROM trigger_entries WHERE created < $1 ORDER BY created LIMIT $2)`,
		micros(before), n)
}

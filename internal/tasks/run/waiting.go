package run

import (
	"context"
	"fmt"
	"time"

	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/task"
)

// deadline is when a run ends that no agent can take: its time limit after it was queued. Azure's
// waits for ever, which nobody notices.
func (r *Row) deadline() time.Time {
	limit := r.Timeout
	if limit <= 0 {
		limit = task.DefaultTimeout * time.Second
	}
	return r.Created.Add(limit)
}

// EndWaiting ends the runs that have waited for the whole of their time limit, and that no agent
// can take. Those that wait because all agents are busy go on waiting.
func (s *Service) EndWaiting(ctx context.Context, now time.Time) error {
	rows, err := s.Store.Waiting(ctx, now.Add(-task.MinTimeout*time.Second))
	if err != nil {
		return err
	}
	for _, row := range rows {
		if now.Before(row.deadline()) || s.agents.has(row, now) {
			continue
		}
		busy, err := s.busyElsewhere(ctx, row, now)
		if err == nil && !busy {
			err = s.endWaiting(ctx, row, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// busyElsewhere reports whether an agent that may fit executes something: one that this server
// does not know asks another one on the same database.
func (s *Service) busyElsewhere(ctx context.Context, waiting Row, now time.Time) (bool, error) {
	active, err := s.Store.Leased(ctx, now.Add(time.Hour), "") // all: leases are short
	for _, row := range active {
		if row.Arch == anyArch {
			row.Arch = waiting.Arch // it may be
		}
		if fits(lease.Agent{Pool: row.Pool, OS: row.OS, Arch: row.Arch}, waiting) {
			return true, nil
		}
	}
	return false, err
}

// endWaiting writes the last words of a run and ends it, unless it is taken meanwhile.
func (s *Service) endWaiting(ctx context.Context, seen Row, now time.Time) error {
	missing, _ := s.missing(seen, now)
	waited := now.Sub(seen.Created).Round(time.Second)
	message := fmt.Sprintf("nobody could execute the run within its time limit: %s", missing)
	_, err := s.change(ctx, seen.ID(), func(row *Row) error {
		if row.Status != Queued {
			return nil
		}
		words := fmt.Sprintf("\r\nRun ID: %s failed after %s. Error: %s\r\n", row.Properties.RunID, waited, message)
		key := runlog.Key{Registry: row.Registry.String(), RunID: row.Properties.RunID}
		if err := s.Logs.AppendLast(key, words); err != nil {
			return err
		}
		s.finish(row, lease.Timeout, message, now)
		return nil
	})
	return err
}

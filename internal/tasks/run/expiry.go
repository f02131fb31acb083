package run

import (
	"context"
	"time"
)

// expiryBatch is how many runs go in one transaction.
const expiryBatch = 500

// Expire removes the runs that ended before a time, and the logs that nobody has written to
// since then, but for those of archived runs, and tells how many of each. A kill in between
// leaves logs without runs, which the next time removes.
func (s *Service) Expire(ctx context.Context, before time.Time) (runs, logs int, err error) {
	for {
		n, err := s.Store.DeleteEnded(ctx, before, expiryBatch)
		if err != nil {
			return runs, 0, err
		}
		if runs += int(n); n < expiryBatch {
			break
		}
	}
	kept, err := s.Store.Archived(ctx)
	if err != nil {
		return runs, 0, err
	}
	logs, err = s.Logs.Sweep(before, kept)
	return runs, logs, err
}

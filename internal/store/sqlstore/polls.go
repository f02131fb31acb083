package sqlstore

import (
	"context"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// PutPolls implements trigger.Store.
func (s Triggers) PutPolls(ctx context.Context, polls []trigger.Poll) error {
	for _, p := range polls {
		if _, err := s.exec(ctx, `INSERT INTO image_polls (image, due, failures) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			p.Image, micros(p.Due), p.Failures); err != nil {
			return err
		}
	}
	return nil
}

func scanPoll(r row) (p trigger.Poll, err error) {
	var due int64
	err = r.Scan(&p.Image, &due, &p.Failures)
	p.Due = fromMicros(due)
	return p, err
}

// DuePolls implements trigger.Store.
func (s Triggers) DuePolls(ctx context.Context, at time.Time, n int) ([]trigger.Poll, error) {
	return collect(ctx, s.DB, scanPoll, `SELECT image, due, failures FROM image_polls WHERE due <= $1 ORDER BY due, image LIMIT $2`,
		micros(at), n)
}

// PollsOf implements trigger.Store.
func (s Triggers) PollsOf(ctx context.Context, tasks []arm.ID) ([]trigger.Poll, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	var keys []any
	for _, id := range tasks {
		keys = append(keys, id.Key())
	}
	return collect(ctx, s.DB, scanPoll, `SELECT image, due, failures FROM image_polls
		WHERE image IN (SELECT image FROM task_bases WHERE task IN `+tuples(1, 1, len(keys))+`) ORDER BY due, image`, keys...)
}

// MovePoll implements trigger.Store.
func (s Triggers) MovePoll(ctx context.Context, p trigger.Poll, due time.Time, failures int) (bool, error) {
	n, err := s.exec(ctx, `UPDATE image_polls SET due = $3, failures = $4 WHERE image = $1 AND due = $2`,
		p.Image, micros(p.Due), micros(due), failures)
	return n > 0, err
}

// HoldPolls implements trigger.Store.
func (s Triggers) HoldPolls(ctx context.Context, host string, until time.Time) error {
	// "0" comes after "/": the images of a host are next to each other.
	_, err := s.exec(ctx, `UPDATE image_polls SET due = $3 WHERE image >= $1 AND image < $2 AND due < $3`,
		host+"/", host+"0", micros(until))
	return err
}

// EndPoll implements trigger.Store.
func (s Triggers) EndPoll(ctx context.Context, p trigger.Poll) error {
	_, err := s.exec(ctx, `DELETE FROM image_polls WHERE image = $1 AND due = $2`, p.Image, micros(p.Due))
	return err
}

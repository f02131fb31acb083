package sqlstore

import (
	"context"
	"slices"
	"time"

	"github.com/acrux/acrux/internal/registry"
)

// AddEvent implements registry.Store.
func (s Registry) AddEvent(ctx context.Context, events ...registry.Event) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		s.DB.pushed = s.DB.pushed || slices.ContainsFunc(events, func(e registry.Event) bool { return e.Action == registry.Pushed })
		for len(events) > 0 {
			n := 1 // two texts of statements are enough
			if len(events) >= together {
				n = together
			}
			if err := s.addEvents(ctx, events[:n]); err != nil {
				return err
			}
			events = events[n:]
		}
		return nil
	})
}

func (s Registry) addEvents(ctx context.Context, events []registry.Event) error {
	var args []any
	for _, e := range events {
		args = append(args, e.Name.Registry, e.Action, e.Name.Repository, e.Tag, e.Digest, e.Actor, micros(e.Time), max(1, e.Times))
	}
	return s.add(ctx, `INSERT INTO events (registry, action, repository, tag, digest, actor, created, times) VALUES `+
		tuples(1, len(events), 8), args...)
}

// Pushed returns a channel that is closed after the next commit of this process that has a
// push among its events. Take it before looking; what other servers push rings nothing.
func (db *DB) Pushed() <-chan struct{} { return db.pushes.Rung() }

var _ registry.Outbox = Registry{}

// Events implements registry.Outbox.
func (s Registry) Events(ctx context.Context, reader string, n int) ([]registry.Event, error) {
	return collect(ctx, s.DB, scanEvent, `SELECT id, registry, action, repository, tag, digest, actor, created, times FROM events
		WHERE id > (SELECT coalesce(max(event), 0) FROM event_readers WHERE name = $1) ORDER BY id LIMIT $2`, reader, n)
}

func scanEvent(r row) (e registry.Event, err error) {
	var created int64
	err = r.Scan(&e.ID, &e.Name.Registry, &e.Action, &e.Name.Repository, &e.Tag, &e.Digest, &e.Actor, &created, &e.Times)
	e.Time = fromMicros(created)
	return e, err
}

// Done implements registry.Outbox.
func (s Registry) Done(ctx context.Context, reader string, id int64) error {
	return s.add(ctx, `INSERT INTO event_readers (name, event) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET event = excluded.event WHERE event_readers.event < excluded.event`, reader, id)
}

// PruneEvents implements registry.Outbox.
func (s Registry) PruneEvents(ctx context.Context, before time.Time, n int) (int64, error) {
	return s.exec(ctx, `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE created < $1
		AND id <= (SELECT coalesce(min(event), 9223372036854775807) FROM event_readers) ORDER BY id LIMIT $2)`, micros(before), n)
}

// AddPulls implements registry.Store.
func (s Registry) AddPulls(ctx context.Context, p registry.Pulls) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, p.Name)
		if err != nil {
			return err
		}
		if err := s.add(ctx, `UPDATE manifests SET pulls = pulls + $3, pulled = $4 WHERE repository = $1 AND digest = $2`, repo, p.Digest, p.Times, micros(p.Last)); err != nil {
			return err
		}
		return s.add(ctx, `UPDATE tags SET pulls = pulls + $3, pulled = $4 WHERE repository = $1 AND name = $2`, repo, p.Tag, p.Times, micros(p.Last))
	})
}

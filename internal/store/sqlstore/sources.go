package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

var _ trigger.SourceStore = Triggers{}

// PutSources implements trigger.SourceStore.
func (s Triggers) PutSources(ctx context.Context, id arm.ID, sources []trigger.Source) error {
	var names []string
	for _, one := range sources {
		names = append(names, one.Name)
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := s.keepNamed(ctx, `task_sources`, id, names); err != nil {
			return err
		}
		for _, one := range sources {
			if _, err := s.exec(ctx, `INSERT INTO task_sources (id, task, name, spelling, task_id) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (task, name) DO UPDATE SET spelling = excluded.spelling`,
				one.ID, id.Key(), strings.ToLower(one.Name), one.Name, id.String()); err != nil {
				return fmt.Errorf("writing source trigger %s of %s: %w", one.Name, id, err)
			}
		}
		return nil
	})
}

const selectSource = `SELECT id, task_id, spelling FROM task_sources `

func scanSource(r row) (one trigger.Source, err error) {
	var id string
	if err = r.Scan(&one.ID, &id, &one.Name); err != nil {
		return one, err
	}
	one.Task, err = arm.ParseID(id)
	return one, err
}

// Source implements trigger.SourceStore.
func (s Triggers) Source(ctx context.Context, id string) (trigger.Source, error) {
	one, err := scanSource(s.queryRow(ctx, selectSource+`WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return one, resource.ErrNotFound
	}
	return one, err
}

// Sources implements trigger.SourceStore.
func (s Triggers) Sources(ctx context.Context, id arm.ID) ([]trigger.Source, error) {
	return collect(ctx, s.DB, scanSource, selectSource+`WHERE task = $1 ORDER BY name`, id.Key())
}

// TakeDelivery implements trigger.SourceStore.
func (s Triggers) TakeDelivery(ctx context.Context, source, digest, delivery string, now time.Time) (before string, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, `INSERT INTO source_deliveries (source, digest, delivery, created) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`, source, digest, delivery, micros(now))
		if err != nil || n > 0 {
			return err
		}
		return s.queryRow(ctx, `SELECT delivery FROM source_deliveries WHERE source = $1 AND digest = $2`, source, digest).Scan(&before)
	})
	return before, err
}

// PruneDeliveries implements trigger.SourceStore.
func (s Triggers) PruneDeliveries(ctx context.Context, before time.Time, n int) (int64, error) {
	return s.exec(ctx, `DELETE FROM source_deliveries WHERE (source, digest) IN
		(SELECT source, digest FROM source_deliveries WHERE created < $1 ORDER BY created LIMIT $2)`, micros(before), n)
}

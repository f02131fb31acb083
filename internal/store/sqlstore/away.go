package sqlstore

import (
	"context"
	"errors"

	"github.com/acrux/acrux/internal/arm/problem"
)

// told makes an error of a database that does not work for now a problem of the kind
// problem.Away, whatever kind of thing was asked of it. A transaction may be asked for again
// after that, by whoever began it: a function given to InTx is not run a second time here, for
// it may have had effects outside.
//
// An error of the commit itself leaves open whether it was done: a database that went away
// in that moment cannot say.
func (db *DB) told(ctx context.Context, err error) error {
	if err == nil || problem.Is(err, problem.Away) {
		return err
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err // whoever asked has left
	}
	if look := db.backend.away(err); look != "" {
		return problem.NewAway(look, err)
	}
	return err
}

// telling runs statements and tells of their errors.
type telling struct {
	querier
	db *DB
}

func (t telling) exec(ctx context.Context, query string, args ...any) (int64, error) {
	n, err := t.querier.exec(ctx, query, args...)
	return n, t.db.told(ctx, err)
}

func (t telling) query(ctx context.Context, query string, args ...any) (rows, error) {
	r, err := t.querier.query(ctx, query, args...)
	if err != nil {
		return r, t.db.told(ctx, err)
	}
	return tellingRows{r, tellingRow{r, ctx, t.db}}, nil
}

func (t telling) queryRow(ctx context.Context, query string, args ...any) row {
	return tellingRow{t.querier.queryRow(ctx, query, args...), ctx, t.db}
}

type tellingRow struct {
	row
	ctx context.Context
	db  *DB
}

func (r tellingRow) Scan(dest ...any) error { return r.db.told(r.ctx, r.row.Scan(dest...)) }

type tellingRows struct {
	rows
	one tellingRow
}

func (r tellingRows) Scan(dest ...any) error { return r.one.Scan(dest...) }
func (r tellingRows) Err() error             { return r.one.db.told(r.one.ctx, r.rows.Err()) }

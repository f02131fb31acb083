package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// derived is the migration after that of lists: it writes what lists are read from for the
// documents and runs that an older version left, as putTerms, countNew and PutRun do.
func derived() *goose.Migration {
	return goose.NewGoMigration(8, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(deriveTerms(ctx, tx), deriveOutputs(ctx, tx), deriveNames(ctx, tx, `principals`), deriveNames(ctx, tx, `applications`))
	}}, nil)
}

// planned is the migration after that of triggers: the timers and bases of the tasks that an
// older version left. Timers are due at once, which plans them.
func planned() *goose.Migration {
	return goose.NewGoMigration(12, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		key := func(doc resource.Document) []any { return []any{doc.ID.Key()} }
		write := func(doc resource.Document) error {
			if doc.Kind.Key() != task.Kind.Key() {
				return nil
			}
			return planTask(ctx, tx, doc)
		}
		return eachBatch(ctx, tx, scanDocument, selectDocument+`WHERE d.key > $1 ORDER BY d.key LIMIT $2`, key, []any{""}, write)
	}}, nil)
}

func planTask(ctx context.Context, tx *sql.Tx, doc resource.Document) error {
	var p task.Properties
	if err := json.Unmarshal(doc.Properties, &p); err != nil {
		return fmt.Errorf("reading %s: %w", doc.ID, err)
	}
	if p.Trigger != nil {
		for _, one := range p.Trigger.Timer {
			if _, err := tx.ExecContext(ctx, `INSERT INTO task_timers (task, name, spelling, id, schedule, due) VALUES ($1, $2, $3, $4, $5, 0)`,
				doc.ID.Key(), strings.ToLower(one.Name), one.Name, doc.ID.String(), one.Schedule); err != nil {
				return fmt.Errorf("planning %s: %w", doc.ID, err)
			}
		}
	}
	if p.Step == nil {
		return nil
	}
	for _, b := range p.Step.BaseImages {
		if b.Tag == "" || b.Digest == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO task_bases (task, image, kind, id, built, seen) VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT DO NOTHING`, doc.ID.Key(), trigger.ImageOf(b.Registry, b.Repository, b.Tag), b.Type, doc.ID.String(), b.Digest); err != nil {
			return fmt.Errorf("writing what %s is built on: %w", doc.ID, err)
		}
	}
	return nil
}

// deriveBatch is how many rows are in memory at once.
const deriveBatch = 1000

// eachBatch calls fn with what a query finds, which goes on after the last key of the
// batch before and has deriveBatch rows at most.
func eachBatch[T any](ctx context.Context, tx *sql.Tx, scan func(row) (T, error), query string, after func(T) []any, first []any, fn func(T) error) error {
	for place := first; ; {
		rows, err := tx.QueryContext(ctx, query, slices.Concat(place, []any{deriveBatch})...)
		if err != nil {
			return err
		}
		var batch []T
		for rows.Next() {
			one, err := scan(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			batch = append(batch, one)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for _, one := range batch {
			if err := fn(one); err != nil {
				return err
			}
		}
		if len(batch) < deriveBatch {
			return nil
		}
		place = after(batch[len(batch)-1])
	}
}

func deriveTerms(ctx context.Context, tx *sql.Tx) error {
	write := func(doc resource.Document) error {
		for _, term := range doc.Terms() {
			if _, err := tx.ExecContext(ctx, insertTerm, doc.Kind.Key(), string(term), doc.ID.Key()); err != nil {
				return fmt.Errorf("writing the terms of %s: %w", doc.ID, err)
			}
			if name, value, ok := term.Tag(); ok {
				if _, err := tx.ExecContext(ctx, countTag, name, value, spelling(doc, name)); err != nil {
					return fmt.Errorf("counting the tags of %s: %w", doc.ID, err)
				}
			}
		}
		_, err := tx.ExecContext(ctx, addToCount, doc.ID.Parent().Key(), doc.Kind.Key())
		return err
	}
	key := func(doc resource.Document) []any { return []any{doc.ID.Key()} }
	return eachBatch(ctx, tx, scanDocument, selectDocument+`WHERE d.key > $1 ORDER BY d.key LIMIT $2`, key, []any{""}, write)
}

func deriveOutputs(ctx context.Context, tx *sql.Tx) error {
	write := func(r run.Row) error {
		for _, output := range outputs(r) {
			if _, err := tx.ExecContext(ctx, insertOutput, r.Registry.Key(), output, r.Number); err != nil {
				return fmt.Errorf("writing the outputs of %s: %w", r.ID(), err)
			}
		}
		return nil
	}
	place := func(r run.Row) []any { return []any{r.Registry.Key(), r.Number} }
	return eachBatch(ctx, tx, scanRun, selectRun+`WHERE (registry, number) > ($1, $2) ORDER BY registry, number LIMIT $3`, place, []any{"", 0}, write)
}

// deriveNames writes what the objects of a table of the directory are sorted by.
func deriveNames(ctx context.Context, tx *sql.Tx, table string) error {
	type named struct{ id, name string }
	scan := func(r row) (n named, err error) {
		err = r.Scan(&n.id, &n.name)
		return n, err
	}
	write := func(n named) error {
		_, err := tx.ExecContext(ctx, `UPDATE `+table+` SET sort_name = $2 WHERE object_id = $1`, n.id, strings.ToLower(n.name))
		return err
	}
	place := func(n named) []any { return []any{n.id} }
	return eachBatch(ctx, tx, scan, `SELECT object_id, display_name FROM `+table+` WHERE object_id > $1 ORDER BY object_id LIMIT $2`, place, []any{""}, write)
}

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresTx is a transaction, which is over when its time is. Statements that nobody
// waits for go to the database with the next one that somebody does: the way there and back
// takes longer than most statements.
type postgresTx struct {
	tx      pgx.Tx
	until   time.Time
	waiting []waiting // to be sent
	saved   bool      // the savepoint of this part has been sent
	before  bool      // the part before this one has a savepoint, which is released with it
}

func (t *postgresTx) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, t.until)
}

// maxWaiting bounds what is kept in memory until it is sent.
const maxWaiting = 100

// later implements transaction. What PostgreSQL would not take is told at once.
func (t *postgresTx) later(ctx context.Context, s waiting) error {
	if !storable(s.args) {
		return errText
	}
	if len(t.waiting) == maxWaiting {
		if err := t.flush(ctx); err != nil {
			return err
		}
	}
	t.waiting = append(t.waiting, s)
	return nil
}

// changed implements transaction. The commit ends it, with the writer's turn.
func (t *postgresTx) changed(ctx context.Context, what topic) error {
	if what != everything {
		return nil
	}
	_, err := t.tx.Exec(ctx, `UPDATE generation SET n = n + 1`)
	return err
}

func (t *postgresTx) save(context.Context) error {
	t.saved = false
	return nil
}

// keep does not bother the database with a part that had no statement.
func (t *postgresTx) keep(ctx context.Context) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	if t.tx.Conn().PgConn().TxStatus() == failedTransaction {
		return errFailed
	}
	t.before = t.before || t.saved
	return nil
}

// failedTransaction is the status of one in which nothing works but what undoes it (PostgreSQL
// documentation, Message Formats, ReadyForQuery).
const failedTransaction = 'E'

// errFailed is for who thought nothing of the error of a statement.
var errFailed = errors.New("a statement of the transaction failed before")

// undo prepares nothing: after a failed statement PostgreSQL takes what ends the part, and
// refuses to prepare it.
func (t *postgresTx) undo(ctx context.Context) error {
	t.waiting = nil
	if !t.saved {
		return nil
	}
	t.before = false
	_, err := t.tx.Exec(ctx, rollback+"; "+release, pgx.QueryExecModeSimpleProtocol)
	return err
}

// begun is for who uses tx himself: it runs what waits, with the marks of the part.
func (t *postgresTx) begun(ctx context.Context) error {
	t.waiting = append(t.marks(), t.waiting...)
	return t.flush(ctx)
}

// flush runs what waits.
func (t *postgresTx) flush(ctx context.Context) error {
	if len(t.waiting) == 0 {
		return nil
	}
	results, err := t.send(ctx)
	if err != nil {
		return err
	}
	return results.Close()
}

// send sends those that wait, and more. It returns the results of the latter; an error of
// those that waited is the error, and there are no results then.
func (t *postgresTx) send(ctx context.Context, more ...statement) (results pgx.BatchResults, err error) {
	var batch pgx.Batch
	all := append(t.marks(), t.waiting...)
	for _, s := range all {
		batch.Queue(s.query, s.args...)
	}
	for _, s := range more {
		batch.Queue(s.query, s.args...)
	}
	t.waiting = nil
	results = t.tx.SendBatch(ctx, &batch)
	for _, s := range all {
		if err := s.told(results); err != nil {
			return nil, closed(results, err)
		}
	}
	return results, nil
}

// marks are what comes before the first statement of a part.
func (t *postgresTx) marks() (all []waiting) {
	if t.saved {
		return nil
	}
	if t.before {
		all = append(all, waiting{statement: statement{query: release}})
	}
	t.saved, t.before = true, false
	return append(all, waiting{statement: statement{query: savepoint}})
}

// direct reports whether a statement can be sent as it is.
func (t *postgresTx) direct(args []any) bool {
	return t.saved && len(t.waiting) == 0 || !storable(args)
}

// told takes the next of the results.
func (s waiting) told(from pgx.BatchResults) error {
	if s.each != nil {
		found, err := from.Query()
		if err != nil {
			return err
		}
		return eachRow(postgresRows{found}, s.each)
	}
	tag, err := from.Exec()
	if err == nil && s.touched != nil {
		err = s.touched(tag.RowsAffected())
	}
	return err
}

func (t *postgresTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if t.direct(args) {
		return postgresQuerier{t.tx}.exec(ctx, query, args...)
	}
	results, err := t.send(ctx, statement{query, args})
	if err != nil {
		return 0, err
	}
	tag, err := results.Exec()
	return tag.RowsAffected(), closed(results, err)
}

func (t *postgresTx) query(ctx context.Context, query string, args ...any) (rows, error) {
	if t.direct(args) {
		return postgresQuerier{t.tx}.query(ctx, query, args...)
	}
	results, err := t.send(ctx, statement{query, args})
	if err != nil {
		return nil, err
	}
	r, err := results.Query()
	if err != nil {
		return nil, closed(results, err)
	}
	return batchRows{postgresRows{r}, results}, nil
}

func (t *postgresTx) queryRow(ctx context.Context, query string, args ...any) row {
	if t.direct(args) {
		return postgresQuerier{t.tx}.queryRow(ctx, query, args...)
	}
	results, err := t.send(ctx, statement{query, args})
	if err != nil {
		return failedRow{err}
	}
	return batchRow{postgresRow{results.QueryRow()}, results}
}

// closed closes results, whose error is err unless there was none.
func closed(results pgx.BatchResults, err error) error {
	if also := results.Close(); err == nil {
		return also
	}
	return err
}

// batchRows are the rows of the last statement of a batch.
type batchRows struct {
	postgresRows
	results pgx.BatchResults
}

func (r batchRows) Close() error { return closed(r.results, r.postgresRows.Close()) }

type batchRow struct {
	postgresRow
	results pgx.BatchResults
}

func (r batchRow) Scan(dest ...any) error {
	return closed(r.results, r.postgresRow.Scan(dest...))
}

func (t *postgresTx) commit() error {
	ctx, cancel := t.bound(context.Background())
	defer cancel()
	return t.tx.Commit(ctx)
}

func (t *postgresTx) rollback() error {
	ctx, cancel := t.bound(context.Background())
	defer cancel()
	return t.tx.Rollback(ctx)
}

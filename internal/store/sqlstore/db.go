// Package sqlstore keeps everything that is not a blob: documents, principals, role
// assignments, registry metadata, runs. It implements the Store interfaces of the
// domain packages, one type each, on one hand-written SQL text that SQLite and
// PostgreSQL both understand: BIGINT microseconds for time, TEXT for JSON, 0 and 1
// for booleans, ON CONFLICT and RETURNING.
//
// A transaction travels in the context: DB.InTx runs a function whose context makes
// every store method called with it part of one transaction. So a service composes
// stores without knowing that there is a database.
//
// SQLite has one writer. InTx hands the function to it, and functions that wait
// together are committed together, each in a savepoint of its own: one fsync serves
// many callers. The price is a rule: a function given to InTx does no I/O of its own
// and waits for nothing.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	write   *sql.DB
	read    *sql.DB
	work    chan job
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
}

type job struct {
	ctx  context.Context
	fn   func(context.Context) error
	done chan error
}

// Open opens the SQLite database in dir, creating and migrating it as needed. The
// caller closes it.
func Open(ctx context.Context, dir string) (*DB, error) { return open(ctx, dir, migrate) }

// OpenShared opens a database that another process may have open: it must be there, and
// have the schema of this program, ErrSchema; nothing is migrated. The caller closes it.
func OpenShared(ctx context.Context, dir string) (*DB, error) {
	if _, err := os.Stat(filepath.Join(dir, "acrux.db")); err != nil {
		return nil, err
	}
	return open(ctx, dir, checkSchema)
}

func open(ctx context.Context, dir string, prepare func(context.Context, *sql.DB) error) (*DB, error) {
	file := filepath.Join(dir, "acrux.db")
	pragmas := "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=cache_size(-4000)"
	write, err := sql.Open("sqlite", "file:"+file+pragmas+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", file, err)
	}
	write.SetMaxOpenConns(1)
	if err := prepare(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("the schema of %s: %w", file, err), write.Close())
	}
	read, err := sql.Open("sqlite", "file:"+file+pragmas+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", file, err), write.Close())
	}
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(4)
	db := &DB{write: write, read: read, work: make(chan job, 64), stop: make(chan struct{}), stopped: make(chan struct{})}
	go db.writer()
	return db, nil
}

// Close ends the writer and closes the database. Transactions that wait fail.
func (db *DB) Close() error {
	db.once.Do(func() { close(db.stop) })
	<-db.stopped
	return errors.Join(db.read.Close(), db.write.Close())
}

// errClosed is what transactions get that come after Close.
var errClosed = errors.New("the database is closed")

type txKey struct{}

// InTx runs fn in a transaction, or in the one ctx already carries. When it returns
// nil, everything fn did is on disk; when not, nothing is.
func (db *DB) InTx(ctx context.Context, fn func(context.Context) error) error {
	if _, ok := ctx.Value(txKey{}).(*sql.Tx); ok {
		return fn(ctx)
	}
	j := job{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case db.work <- j:
	case <-db.stop:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-j.done:
		return err
	case <-db.stopped:
		select {
		case err := <-j.done:
			return err
		default:
			return errClosed
		}
	}
}

// writer commits what InTx hands over, until Close.
func (db *DB) writer() {
	defer close(db.stopped)
	for {
		select {
		case <-db.stop:
			return
		case first := <-db.work:
			db.commit(db.gather(first))
		}
	}
}

// maxBatch bounds how many transactions share a commit.
const maxBatch = 64

func (db *DB) gather(first job) []job {
	batch := []job{first}
	for len(batch) < maxBatch {
		select {
		case j := <-db.work:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch in one transaction. A job that fails is rolled back to its
// savepoint and told so; the others are told after the commit.
func (db *DB) commit(batch []job) {
	results := make([]error, len(batch))
	err := db.transact(func(tx *sql.Tx) error {
		for i, j := range batch {
			if results[i] = savepoint(tx, j); errors.Is(results[i], errBroken) {
				return results[i]
			}
		}
		return nil
	})
	for i, j := range batch {
		j.done <- errors.Join(results[i], err)
	}
}

func (db *DB) transact(fn func(*sql.Tx) error) error {
	tx, err := db.write.Begin()
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// errBroken says that the transaction itself cannot go on.
var errBroken = errors.New("the transaction is broken")

func savepoint(tx *sql.Tx, j job) error {
	if err := j.ctx.Err(); err != nil {
		return context.Cause(j.ctx)
	}
	if _, err := tx.Exec("SAVEPOINT job"); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	// The statements must not be cut off half-way by the caller's context: an
	// interrupted statement rolls the whole batch back.
	ctx := context.WithValue(context.WithoutCancel(j.ctx), txKey{}, tx)
	failed := protect(ctx, j.fn)
	if failed != nil {
		if _, err := tx.Exec("ROLLBACK TO job"); err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	if _, err := tx.Exec("RELEASE job"); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return failed
}

// protect turns a panic of one caller's function into its error: the writer serves everyone.
func protect(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in a transaction: %v", r)
		}
	}()
	return fn(ctx)
}

// exec runs a statement in ctx's transaction or one of its own and returns how
// many rows it touched.
func (db *DB) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := db.InTx(ctx, func(ctx context.Context) error {
		result, err := ctx.Value(txKey{}).(*sql.Tx).ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// statement is one of several that make a change.
type statement struct {
	query string
	args  []any
}

// execAll runs statements in ctx's transaction or one of their own.
func (db *DB) execAll(ctx context.Context, all []statement) error {
	return db.InTx(ctx, func(ctx context.Context) error {
		for _, one := range all {
			if _, err := db.exec(ctx, one.query, one.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// querier is what reading needs: a transaction or the pool of readers.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (db *DB) reader(ctx context.Context) querier {
	if tx, ok := ctx.Value(txKey{}).(*sql.Tx); ok {
		return tx
	}
	return db.read
}

func (db *DB) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return db.reader(ctx).QueryRowContext(ctx, query, args...)
}

// collect reads all rows of a query with scan.
func collect[T any](ctx context.Context, db *DB, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.reader(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// row is a *sql.Row or *sql.Rows.
type row interface{ Scan(dest ...any) error }

// micros and fromMicros translate times; zero is the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// below returns the bounds of the keys that lie under key: '0' follows '/'.
func below(key string) (from, to string) { return key + "/", key + "0" }

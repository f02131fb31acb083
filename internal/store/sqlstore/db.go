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
// There is one writer. InTx hands the function to it, and functions that wait together
// are committed together, each in a savepoint of its own: one fsync serves many callers.
// On PostgreSQL the writers of all servers take turns, so that what a function has read
// still holds when it commits, there as on SQLite. The price is a rule: a function given
// to InTx does no I/O of its own and waits for nothing.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/riverqueue/river"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/store/disk"
)

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	// Reserve is where transactions find space on a full disk. Set before use; nil is none.
	Reserve *disk.Reserve

	backend     backend
	generations generations
	touched     topic // by the batch that is being committed; the writer's alone

	patience time.Duration // of who waits for a transaction to begin

	work    chan job
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
}

type job struct {
	ctx     context.Context
	fn      func(context.Context) error
	lasting bool // must outlive a power failure
	// taken is set by the writer, who then runs fn, or by who waits and leaves: one of them.
	taken *atomic.Bool
	done  chan error
}

// patience is how long a transaction waits to begin. It is longer than another server keeps
// its turn after it was stopped in the middle of it, see times.
const patience = 10 * time.Second

// errBusy is the cause of what waited for longer.
var errBusy = errors.New("the transaction could not begin in time")

// lookBusy is for the log.
const lookBusy = "what was written before takes long: is the disk of the database slow, " +
	"or does another server have its turn? (pg_stat_activity)"

// backend is what differs between the databases.
type backend interface {
	// prepare brings the schema up to date, before anything else.
	prepare(ctx context.Context) error
	// check returns ErrSchema if the schema is another one, fs.ErrNotExist if there is none.
	check(ctx context.Context) error
	// begin begins the transaction of the one writer. One that is not lasting outlives the
	// process, but a power failure may undo it.
	begin(lasting bool) (transaction, error)
	// reader reads what is committed.
	reader() querier
	// alone reports whether others who commit are seen by othersCommitted, which reports
	// whether somebody, this process included, has committed since it was last asked.
	alone() bool
	othersCommitted() bool
	// away returns where to look for the cause of an error that is the database's own and may
	// be over in a moment, or "".
	away(err error) (look string)
	// stale reports whether an error is that of a connection that had been lost before it was
	// used: what only reads, or has not begun, may be asked for again at once.
	stale(err error) bool
	// river returns a client of the job queue's.
	river(config *river.Config) (riverClient, error)
	// release gives jobs back that a server had when it was killed.
	release(ctx context.Context, server string) error
	close() error
}

// querier runs statements. Parameters are $1, $2, …
type querier interface {
	exec(ctx context.Context, query string, args ...any) (touched int64, err error)
	query(ctx context.Context, query string, args ...any) (rows, error)
	queryRow(ctx context.Context, query string, args ...any) row
}

// transaction is not safe for concurrent use. After an error of begin, commit or
// rollback, the next begin starts on sound ground.
type transaction interface {
	querier
	// bound limits a context to the time that the transaction has.
	bound(ctx context.Context) (context.Context, context.CancelFunc)
	commit() error
	rollback() error
}

// row is one row, or the present one of many. Scan without a row returns sql.ErrNoRows.
type row interface{ Scan(dest ...any) error }

// rows are the rows of a query, to be closed.
type rows interface {
	row
	Next() bool
	Err() error
	Close() error
}

// Open opens a database, creating and migrating its schema as needed: SQLite in the
// directory where, or PostgreSQL if where is a URL, IsURL. The caller closes it.
func Open(ctx context.Context, where string) (*DB, error) {
	return open(ctx, where, backend.prepare)
}

// OpenShared opens a database that another process may have open: it must be there,
// fs.ErrNotExist, and have the schema of this program, ErrSchema; nothing is migrated.
// The caller closes it.
func OpenShared(ctx context.Context, where string) (*DB, error) {
	return open(ctx, where, backend.check)
}

// IsURL reports whether where names a database of PostgreSQL, not a directory.
func IsURL(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

func open(ctx context.Context, where string, ready func(backend, context.Context) error) (*DB, error) {
	connect := openSQLite
	if IsURL(where) {
		connect = openPostgres
	}
	b, err := connect(ctx, where)
	if err != nil {
		return nil, err
	}
	if err := ready(b, ctx); err != nil {
		return nil, errors.Join(withoutSpace(err), b.close())
	}
	db := &DB{backend: b, patience: patience,
		work: make(chan job, 64), stop: make(chan struct{}), stopped: make(chan struct{})}
	go db.writer()
	return db, nil
}

// Close ends the writer and closes the database. Transactions that wait fail.
func (db *DB) Close() error {
	db.once.Do(func() { close(db.stop) })
	<-db.stopped
	return db.backend.close()
}

// errClosed is what transactions get that come after Close.
var errClosed = problem.NewAway("the server stops, or has stopped", errors.New("the database is closed"))

type txKey struct{}

type brieflyKey struct{}

// briefly returns a context in which a transaction of its own need not outlive a power
// failure: what it writes is of use to clients that go on, and they begin anew then. It
// spares a sync of the disk, which is most of a small transaction.
func briefly(ctx context.Context) context.Context { return context.WithValue(ctx, brieflyKey{}, true) }

// InTx runs fn in a transaction, or in the one ctx already carries. When it returns
// nil, everything fn did is on disk; when not, nothing is, unless the database went away
// with the commit. A problem of the kind problem.Away says that it did not work for now.
func (db *DB) InTx(ctx context.Context, fn func(context.Context) error) error {
	if _, ok := ctx.Value(txKey{}).(transaction); ok {
		return fn(ctx)
	}
	lasting := ctx.Value(brieflyKey{}) == nil
	j := job{ctx: ctx, fn: fn, lasting: lasting, taken: new(atomic.Bool), done: make(chan error, 1)}
	tired := time.NewTimer(db.patience)
	defer tired.Stop()
	select {
	case db.work <- j:
	case <-tired.C:
		return problem.NewAway(lookBusy, errBusy)
	case <-db.stop:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return db.await(j, tired)
}

// await waits for the end of a transaction, or until it is tired of waiting for its begin.
func (db *DB) await(j job, tired *time.Timer) error {
	for {
		select {
		case err := <-j.done:
			return err
		case <-tired.C:
			if j.taken.CompareAndSwap(false, true) {
				return problem.NewAway(lookBusy, errBusy)
			}
		case <-db.stopped:
			select {
			case err := <-j.done:
				return err
			default:
				return errClosed
			}
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
	db.touched = contents
	lasting := slices.ContainsFunc(batch, func(j job) bool { return j.lasting })
	db.Reserve.Spend()
	err := db.transact(lasting, func(tx transaction) error {
		for i, j := range batch {
			if results[i] = db.savepoint(tx, j); errors.Is(results[i], errBroken) {
				return results[i]
			}
		}
		return nil
	})
	db.generations.grow(db.touched)
	for i, j := range batch {
		err := db.told(context.Background(), withoutSpace(errors.Join(results[i], err)))
		if errors.Is(err, syscall.ENOSPC) {
			db.Reserve.SpendAll() // for whoever tries again
		}
		j.done <- err
	}
}

// withoutSpace makes an error of a database whose disk is full one that says so.
func withoutSpace(err error) error {
	if sqliteFull(err) || postgresFull(err) {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}

func (db *DB) transact(lasting bool, fn func(transaction) error) error {
	tx, err := db.backend.begin(lasting)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.rollback())
	}
	if err := tx.commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// errBroken says that the transaction itself cannot go on.
var errBroken = errors.New("the transaction is broken")

func (db *DB) savepoint(tx transaction, j job) error {
	if err := j.ctx.Err(); err != nil {
		return context.Cause(j.ctx)
	}
	if !j.taken.CompareAndSwap(false, true) {
		return errBusy // and nobody waits for it
	}
	// The statements must not be cut off half-way by the caller's context: an
	// interrupted statement rolls the whole batch back.
	ctx, cancel := tx.bound(context.WithoutCancel(j.ctx))
	defer cancel()
	if err := mark(ctx, tx, "SAVEPOINT job"); err != nil {
		return err
	}
	grown := sizes{map[int64]int64{}, map[string]int64{}}
	failed := protect(context.WithValue(context.WithValue(ctx, txKey{}, tx), sizesKey{}, grown), j.fn)
	if failed == nil {
		failed = grown.write(ctx, tx)
	}
	if failed == nil {
		// PostgreSQL does not release after a statement that failed, even if the
		// function thought nothing of it.
		if _, failed = tx.exec(ctx, "RELEASE SAVEPOINT job"); failed == nil {
			return nil
		}
	}
	if err := mark(ctx, tx, "ROLLBACK TO SAVEPOINT job"); err != nil {
		return errors.Join(err, failed)
	}
	if err := mark(ctx, tx, "RELEASE SAVEPOINT job"); err != nil {
		return errors.Join(err, failed)
	}
	return failed
}

func mark(ctx context.Context, tx transaction, statement string) error {
	if _, err := tx.exec(ctx, statement); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
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
	return db.change(ctx, everything, query, args...)
}

// change is exec for a statement that changes one topic.
func (db *DB) change(ctx context.Context, what topic, query string, args ...any) (int64, error) {
	var n int64
	err := db.InTx(ctx, func(ctx context.Context) (err error) {
		db.touched = min(db.touched, what)
		n, err = telling{ctx.Value(txKey{}).(transaction), db}.exec(ctx, query, args...)
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
	return db.changeAll(ctx, everything, all)
}

func (db *DB) changeAll(ctx context.Context, what topic, all []statement) error {
	return db.InTx(ctx, func(ctx context.Context) error {
		for _, one := range all {
			if _, err := db.change(ctx, what, one.query, one.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

func (db *DB) reader(ctx context.Context) querier {
	if tx, ok := ctx.Value(txKey{}).(transaction); ok {
		return telling{tx, db}
	}
	return telling{db.backend.reader(), db}
}

func (db *DB) queryRow(ctx context.Context, query string, args ...any) row {
	return db.reader(ctx).queryRow(ctx, query, args...)
}

// collect reads all rows of a query with scan.
func collect[T any](ctx context.Context, db *DB, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	all, err := collectOnce(ctx, db, scan, query, args...)
	if _, within := ctx.Value(txKey{}).(transaction); !within && db.backend.stale(err) {
		return collectOnce(ctx, db, scan, query, args...)
	}
	return all, err
}

func collectOnce[T any](ctx context.Context, db *DB, scan func(row) (T, error),
	query string, args ...any) ([]T, error) {
	rows, err := db.reader(ctx).query(ctx, query, args...)
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

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
	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/wait"
)

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	// Reserve is where transactions find space on a full disk. Set before use; nil is none.
	Reserve *disk.Reserve

	backend     backend
	generations generations
	touched     topic // by the batch that is being committed; the writer's alone
	pushed      bool  // it has a push among its events; the writer's alone
	pushes      wait.Bell

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
	// generation returns a number that is another one when somebody has committed something of
	// a topic; own counts what this process has. It is false if nobody knows.
	generation(ctx context.Context, what topic, own func() uint64) (uint64, bool)
	// othersCommitted reports whether somebody, this process included, has committed since it
	// was last asked, where generation does not tell.
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
	// later runs a statement at once, or together with the next one that is waited for, whose
	// error is then that of the two. It spares the way to the database and back.
	later(ctx context.Context, s waiting) error
	// save begins a part that keep ends, or undo takes back. After nil from keep, all of
	// its statements have been run. PostgreSQL keeps nothing that has a statement that failed,
	// even if whoever ran it thought nothing of it.
	save(ctx context.Context) error
	keep(ctx context.Context) error
	undo(ctx context.Context) error
	// changed notes for other processes that a topic has changed.
	changed(ctx context.Context, what topic) error
	// bound limits a context to the time that the transaction has.
	bound(ctx context.Context) (context.Context, context.CancelFunc)
	commit() error
	rollback() error
}

// The marks of a part of a transaction.
const (
	savepoint = "SAVEPOINT job"
	release   = "RELEASE SAVEPOINT job"
	rollback  = "ROLLBACK TO SAVEPOINT job"
)

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

// unit is one function's part of a transaction.
type unit struct {
	transaction
	grown        sizes
	repositories map[registry.Name]int64 // the IDs that were asked for
}

func newUnit(tx transaction) *unit {
	return &unit{tx, sizes{map[int64]int64{}, map[string]int64{}}, map[registry.Name]int64{}}
}

type txKey struct{}

// unitOf returns the unit that ctx is within, or nil.
func unitOf(ctx context.Context) *unit {
	u, _ := ctx.Value(txKey{}).(*unit)
	return u
}

type brieflyKey struct{}

// briefly returns a context in which a transaction of its own need not outlive a power
// failure: what it writes is of use to clients that go on, and they begin anew then. It
// spares a sync of the disk, which is most of a small transaction.
func briefly(ctx context.Context) context.Context { return context.WithValue(ctx, brieflyKey{}, true) }

// InTx runs fn in a transaction, or in the one ctx already carries. When it returns
// nil, everything fn did is on disk; when not, nothing is, unless the database went away
// with the commit. A problem of the kind problem.Away says that it did not work for now.
func (db *DB) InTx(ctx context.Context, fn func(context.Context) error) error {
	if unitOf(ctx) != nil {
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
	db.touched, db.pushed = contents, false
	lasting := slices.ContainsFunc(batch, func(j job) bool { return j.lasting })
	db.Reserve.Spend()
	err := db.transact(lasting, func(tx transaction) error {
		for i, j := range batch {
			if results[i] = db.savepoint(tx, j); errors.Is(results[i], errBroken) {
				return results[i]
			}
		}
		ctx, cancel := tx.bound(context.Background())
		defer cancel()
		return tx.changed(ctx, db.touched)
	})
	db.generations.grow(db.touched)
	if db.pushed {
		db.pushes.Ring()
	}
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
	if err := tx.save(ctx); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	u := newUnit(tx)
	failed := protect(context.WithValue(ctx, txKey{}, u), j.fn)
	if failed == nil {
		failed = u.grown.write(ctx, tx)
	}
	if failed == nil {
		if failed = tx.keep(ctx); failed == nil {
			return nil
		}
	}
	if err := tx.undo(ctx); err != nil {
		return fmt.Errorf("%w: %w", errBroken, errors.Join(err, failed))
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
	return db.change(ctx, everything, query, args...)
}

// change is exec for a statement that changes one topic.
func (db *DB) change(ctx context.Context, what topic, query string, args ...any) (n int64, err error) {
	if unitOf(ctx) == nil { // and all there is: its result comes with the end
		err := db.add(ctx, what, waiting{statement: statement{query, args}, touched: func(touched int64) error {
			n = touched
			return nil
		}})
		return n, err
	}
	db.touched = min(db.touched, what)
	return telling{unitOf(ctx), db}.exec(ctx, query, args...)
}

// add is change for a statement whose result is not needed before the next one. Its error
// may come with a later statement of the transaction.
func (db *DB) add(ctx context.Context, what topic, s waiting) error {
	return db.InTx(ctx, func(ctx context.Context) error {
		db.touched = min(db.touched, what)
		return db.told(ctx, unitOf(ctx).later(ctx, s))
	})
}

// statement is one of several that make a change.
type statement struct {
	query string
	args  []any
}

// waiting is a statement that need not be run at once. What it touched or found is told when
// it was; an error is then one of the statement.
type waiting struct {
	statement
	touched func(n int64) error // may be nil
	each    func(row) error     // of a query
}

// addAll runs statements in ctx's transaction or one of their own.
func (db *DB) addAll(ctx context.Context, all []statement) error {
	return db.addAllOf(ctx, everything, all)
}

func (db *DB) addAllOf(ctx context.Context, what topic, all []statement) error {
	return db.InTx(ctx, func(ctx context.Context) error {
		for _, one := range all {
			if err := db.add(ctx, what, waiting{statement: one}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (db *DB) reader(ctx context.Context) querier {
	if u := unitOf(ctx); u != nil {
		return telling{u, db}
	}
	return telling{db.backend.reader(), db}
}

func (db *DB) queryRow(ctx context.Context, query string, args ...any) row {
	return db.reader(ctx).queryRow(ctx, query, args...)
}

// collect reads all rows of a query with scan.
func collect[T any](ctx context.Context, db *DB, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	all, err := collectOnce(ctx, db, scan, query, args...)
	if unitOf(ctx) == nil && db.backend.stale(err) {
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
	var all []T
	err = eachRow(rows, func(r row) error {
		one, err := scan(r)
		all = append(all, one)
		return err
	})
	return all, err
}

// eachRow calls fn with each of the rows, and closes them.
func eachRow(all rows, fn func(row) error) error {
	defer all.Close()
	for all.Next() {
		if err := fn(all); err != nil {
			return err
		}
	}
	return all.Err()
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

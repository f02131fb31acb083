package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	modernc "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// sqlite is a database in a file, with one connection that writes.
type sqlite struct {
	file  string
	write *sql.DB
	read  *sql.DB
	// What is prepared for them.
	writing, reading *statements
	watch            watcher
	bell             bell
}

const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=cache_size(-4000)"

// openSQLite opens the database in a directory. The file is made by prepare.
func openSQLite(_ context.Context, dir string) (backend, error) {
	s := &sqlite{file: filepath.Join(dir, "acrux.db"), bell: make(bell, 64)}
	var err error
	if s.write, err = sql.Open("sqlite", "file:"+s.file+pragmas+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.file, err)
	}
	if s.read, err = sql.Open("sqlite", "file:"+s.file+pragmas+"&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", s.file, err), s.write.Close())
	}
	s.write.SetMaxOpenConns(1)
	s.read.SetMaxOpenConns(5) // one of them watches
	s.read.SetMaxIdleConns(5)
	s.writing, s.reading = newStatements(s.write), newStatements(s.read)
	return s, nil
}

func (s *sqlite) prepare(ctx context.Context) error {
	if err := ownersAlone(s.file); err != nil {
		return err
	}
	if err := migrate(ctx, sqliteProvider, s.write); err != nil {
		return s.schema(err)
	}
	if err := migrateRiver(ctx, riversqlite.New(s.write)); err != nil {
		return s.schema(err)
	}
	return s.watchOthers(ctx)
}

// watchOthers begins to watch, once there is a database.
func (s *sqlite) watchOthers(ctx context.Context) (err error) {
	s.watch.conn, err = s.read.Conn(ctx)
	return err
}

func (s *sqlite) generation(_ context.Context, _ topic, own func() uint64) (uint64, bool) {
	return own(), true
}

func (s *sqlite) othersCommitted() bool { return s.watch.changed() }

func (s *sqlite) check(ctx context.Context) error {
	if _, err := os.Stat(s.file); err != nil {
		return err
	}
	if err := checkSchema(ctx, sqliteProvider, s.write); err != nil {
		return s.schema(err)
	}
	return s.watchOthers(ctx)
}

func (s *sqlite) schema(err error) error {
	if err != nil {
		err = fmt.Errorf("the schema of %s: %w", s.file, err)
	}
	return err
}

// ownersAlone makes a file if there is none, and makes it its owner's alone: the
// directory may have been there before and be open to others. SQLite gives the files
// it puts beside a database the mode of the database.
func ownersAlone(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// begin turns syncing off for a transaction that is not lasting, and it is turned on again
// when that is over: with WAL the database stays whole, and the next lasting transaction
// syncs what came before it, too.
func (s *sqlite) begin(lasting bool) (transaction, error) {
	if !lasting {
		if _, err := s.write.Exec(`PRAGMA synchronous = NORMAL`); err != nil {
			return nil, err
		}
	}
	tx, err := s.write.Begin()
	if err != nil {
		return nil, errors.Join(err, s.syncAgain(lasting))
	}
	return sqliteTx{within{s.writing, tx}, s, lasting}, nil
}

func (s *sqlite) syncAgain(lasting bool) error {
	if lasting {
		return nil
	}
	_, err := s.write.Exec(`PRAGMA synchronous = FULL`)
	return err
}

// sqliteFull reports whether the disk was full. SQLite then rolls back by itself, and
// other errors follow, of which this one is among. The second code is about the file beside
// the database that a start makes.
func sqliteFull(err error) bool {
	return sqliteCode(err, codes.SQLITE_FULL, codes.SQLITE_IOERR_SHMSIZE)
}

// away implements backend: somebody else has the file, or its disk does not work. The disk
// may be mounted read-only by now, as one that failed is, or the files be another user's.
func (s *sqlite) away(err error) string {
	if sqliteFull(err) || !sqliteCode(err, codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_IOERR,
		codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN, codes.SQLITE_NOMEM, codes.SQLITE_PROTOCOL) {
		return ""
	}
	return "can " + s.file + " be read and written, is its disk sound (dmesg), and has no other program the file?"
}

// stale implements backend: a file has no connections to lose.
func (s *sqlite) stale(error) bool { return false }

// sqliteCode reports whether one of the errors in err has one of the codes of SQLite's, or
// one that is a kind of it.
func sqliteCode(err error, among ...int) bool {
	has := func(err error) bool { return sqliteCode(err, among...) }
	switch e := err.(type) {
	case *modernc.Error:
		return slices.Contains(among, e.Code()) || slices.Contains(among, e.Code()&0xff)
	case interface{ Unwrap() error }:
		return has(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), has)
	}
	return false
}

func (s *sqlite) reader() querier { return pooled{s.reading} }

func (s *sqlite) river(config *river.Config) (riverClient, error) {
	client, err := river.NewClient(driver{riversqlite.New(s.write), s.bell}, config)
	return sqliteRiver{client, s.bell}, err
}

// release gives back all that is worked on: there is one process.
func (s *sqlite) release(ctx context.Context, _ string) error {
	_, err := s.write.ExecContext(ctx, `UPDATE river_job SET state = 'available', attempt = max(attempt - 1, 0) WHERE state = 'running'`)
	return err
}

func (s *sqlite) close() error {
	var err error
	if s.watch.conn != nil {
		if err = s.watch.conn.Close(); errors.Is(err, sql.ErrConnDone) {
			err = nil // closed before
		}
	}
	return errors.Join(err, s.read.Close(), s.write.Close())
}

// sqliteTx is a transaction. It has all the time it wants: the database is a file here.
type sqliteTx struct {
	within
	sqlite  *sqlite
	lasting bool
}

func (t sqliteTx) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

// later implements transaction: the database is in this process, nothing is gained by waiting.
func (t sqliteTx) later(ctx context.Context, s waiting) error {
	if s.each != nil {
		found, err := t.query(ctx, s.query, s.args...)
		if err != nil {
			return err
		}
		return eachRow(found, s.each)
	}
	n, err := t.exec(ctx, s.query, s.args...)
	if err == nil && s.touched != nil {
		err = s.touched(n)
	}
	return err
}

func (t sqliteTx) mark(ctx context.Context, query string) error {
	_, err := t.exec(ctx, query)
	return err
}

// changed implements transaction: others are seen by what SQLite counts, see watcher.
func (t sqliteTx) changed(context.Context, topic) error { return nil }

func (t sqliteTx) save(ctx context.Context) error { return t.mark(ctx, savepoint) }
func (t sqliteTx) keep(ctx context.Context) error { return t.mark(ctx, release) }

func (t sqliteTx) undo(ctx context.Context) error {
	return errors.Join(t.mark(ctx, rollback), t.mark(ctx, release))
}

func (t sqliteTx) commit() error {
	err := errors.Join(t.tx.Commit(), t.sqlite.syncAgain(t.lasting))
	t.prepareWanted(context.Background())
	return err
}

func (t sqliteTx) rollback() error {
	return errors.Join(t.tx.Rollback(), t.sqlite.syncAgain(t.lasting))
}

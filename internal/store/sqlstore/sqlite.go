package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// sqlite is a database in a file, with one connection that writes.
type sqlite struct {
	file  string
	write *sql.DB
	read  *sql.DB
}

const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=cache_size(-4000)"

// openSQLite opens the database in a directory. The file is made by prepare.
func openSQLite(_ context.Context, dir string) (backend, error) {
	s := &sqlite{file: filepath.Join(dir, "acrux.db")}
	var err error
	if s.write, err = sql.Open("sqlite", "file:"+s.file+pragmas+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.file, err)
	}
	if s.read, err = sql.Open("sqlite", "file:"+s.file+pragmas+"&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", s.file, err), s.write.Close())
	}
	s.write.SetMaxOpenConns(1)
	s.read.SetMaxOpenConns(4)
	s.read.SetMaxIdleConns(4)
	return s, nil
}

func (s *sqlite) prepare(ctx context.Context) error {
	if err := ownersAlone(s.file); err != nil {
		return err
	}
	return s.schema(migrate(ctx, sqliteProvider, s.write))
}

func (s *sqlite) check(ctx context.Context) error {
	if _, err := os.Stat(s.file); err != nil {
		return err
	}
	return s.schema(checkSchema(ctx, sqliteProvider, s.write))
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

func (s *sqlite) begin() (transaction, error) {
	tx, err := s.write.Begin()
	if err != nil {
		return nil, err
	}
	return sqliteTx{sqliteQuerier{tx}, tx}, nil
}

func (s *sqlite) reader() querier { return sqliteQuerier{s.read} }
func (s *sqlite) close() error    { return errors.Join(s.read.Close(), s.write.Close()) }

// sqliteQuerier runs statements on a pool or in a transaction.
type sqliteQuerier struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
}

func (q sqliteQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := q.on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (q sqliteQuerier) query(ctx context.Context, query string, args ...any) (rows, error) {
	return q.on.QueryContext(ctx, query, args...)
}

func (q sqliteQuerier) queryRow(ctx context.Context, query string, args ...any) row {
	return q.on.QueryRowContext(ctx, query, args...)
}

// sqliteTx is a transaction. It has all the time it wants: the database is a file here.
type sqliteTx struct {
	sqliteQuerier
	tx *sql.Tx
}

func (t sqliteTx) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}
func (t sqliteTx) commit() error   { return t.tx.Commit() }
func (t sqliteTx) rollback() error { return t.tx.Rollback() }

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/acrux/acrux/internal/arm/problem"
)

// postgres is a database of PostgreSQL. Of a server's connections one writes.
type postgres struct {
	writer *pgxpool.Pool
	pool   *pgxpool.Pool
}

const (
	// connections is how many read and work on jobs, unless the URL has pool_max_conns.
	connections = 8
	// batchTime is what a batch may take, from waiting for its turn to the commit, before
	// the connection is given up: the database may have gone away without a word.
	batchTime = time.Minute
	// turn is the advisory lock of who writes. The number is arbitrary and ours.
	turn = "4705322986172"
	// beginWriting waits for this server's turn, which ends with the transaction. A
	// server that stops in the middle of its turn is thrown out by the database.
	beginWriting = `BEGIN; SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '30s'; SELECT pg_advisory_xact_lock(` + turn + `)`
)

// openPostgres connects to the database that a URL names. Its errors do not have the
// password.
func openPostgres(ctx context.Context, where string) (backend, error) {
	config, err := pgxpool.ParseConfig(where)
	if err != nil { // which leaves the password out
		return nil, problem.New(problem.Invalid, "DatabaseURL", "The URL of the database: %s.", err).
			Hint("It is postgres://USER:PASSWORD@HOST:PORT/DATABASE, with a %%-escape for what is neither letter nor digit in the password.")
	}
	if parameters := config.ConnConfig.RuntimeParams; parameters["application_name"] == "" {
		parameters["application_name"] = "acrux"
	}
	one := config.Copy()
	one.MaxConns, one.MinConns, one.MinIdleConns = 1, 0, 0
	if u, err := url.Parse(where); err == nil && !u.Query().Has("pool_max_conns") {
		config.MaxConns = connections
	}
	p := &postgres{}
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("the database: %w", err)
	}
	if p.writer, err = pgxpool.NewWithConfig(ctx, one); err != nil {
		p.pool.Close()
		return nil, fmt.Errorf("the database: %w", err)
	}
	if err := p.usable(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// postgresFull reports whether the disk was full there.
func postgresFull(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "53100"
}

// usable reports why the database cannot be used.
func (p *postgres) usable(ctx context.Context) error {
	to := p.pool.Config().ConnConfig
	var encoding string
	err := p.pool.QueryRow(ctx, `SHOW server_encoding`).Scan(&encoding)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return problem.New(problem.Unavailable, "DatabaseRefused", "The database %s on %s does not let %s in: %s.", to.Database, to.Host, to.User, refused.Message).
			Hint("psql --host %s --port %d --username %s %s", to.Host, to.Port, to.User, to.Database).Because(err)
	case err != nil:
		return problem.New(problem.Unavailable, "DatabaseUnreachable", "The database cannot be reached: %s.", err).
			Hint("pg_isready --host %s --port %d", to.Host, to.Port).Because(err)
	case encoding != "UTF8":
		return problem.New(problem.Invalid, "DatabaseEncoding", "The database %s has the encoding %s; it must be UTF8.", to.Database, encoding).
			Hint("createdb --host %s --port %d --encoding UTF8 --template template0 NAME", to.Host, to.Port)
	}
	return nil
}

// prepare migrates in this server's turn: servers that start together do so one after
// the other, and nobody writes meanwhile.
func (p *postgres) prepare(ctx context.Context) (err error) {
	db := stdlib.OpenDB(*p.pool.Config().ConnConfig)
	defer func() { err = errors.Join(err, db.Close()) }() // lets go of the lock, too
	lock, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(ctx, `SELECT pg_advisory_lock(`+turn+`)`); err != nil {
		return fmt.Errorf("waiting for others that migrate the database: %w", err)
	}
	if err := migrate(ctx, postgresProvider, db); err != nil {
		return p.schema(err)
	}
	return p.schema(migrateRiver(ctx, riverpgxv5.New(p.pool)))
}

func (p *postgres) check(ctx context.Context) (err error) {
	db := stdlib.OpenDB(*p.pool.Config().ConnConfig)
	defer func() { err = errors.Join(err, db.Close()) }()
	return p.schema(checkSchema(ctx, postgresProvider, db))
}

func (p *postgres) schema(err error) error {
	if err != nil {
		err = fmt.Errorf("the schema of the database %s: %w", p.pool.Config().ConnConfig.Database, err)
	}
	return err
}

func (p *postgres) begin(lasting bool) (transaction, error) {
	t := postgresTx{until: time.Now().Add(batchTime)}
	ctx, cancel := t.bound(context.Background())
	defer cancel()
	begin := beginWriting
	if !lasting {
		begin += `; SET LOCAL synchronous_commit = off`
	}
	tx, err := p.writer.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return nil, err
	}
	t.tx, t.postgresQuerier = tx, postgresQuerier{tx}
	return t, nil
}

func (p *postgres) reader() querier { return postgresQuerier{p.pool} }

// Other servers commit, and nobody says so.
func (p *postgres) alone() bool           { return false }
func (p *postgres) othersCommitted() bool { return true }

func (p *postgres) river(config *river.Config) (riverClient, error) {
	client, err := river.NewClient(riverpgxv5.New(p.pool), config)
	return postgresRiver{client}, err
}

// release gives back what this server worked on. Other servers' jobs are theirs until
// their time is over.
func (p *postgres) release(ctx context.Context, server string) error {
	_, err := p.pool.Exec(ctx, `UPDATE river_job SET state = 'available', attempt = greatest(attempt - 1, 0) WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1`, server)
	return err
}

func (p *postgres) close() error {
	p.writer.Close()
	p.pool.Close()
	return nil
}

// postgresQuerier runs statements on a pool or in a transaction.
type postgresQuerier struct {
	on interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
		QueryRow(ctx context.Context, query string, args ...any) pgx.Row
	}
}

func (q postgresQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if !storable(args) {
		return 0, errText
	}
	tag, err := q.on.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (q postgresQuerier) query(ctx context.Context, query string, args ...any) (rows, error) {
	if !storable(args) {
		return noRows{}, nil
	}
	r, err := q.on.Query(ctx, query, args...)
	return postgresRows{r}, err
}

func (q postgresQuerier) queryRow(ctx context.Context, query string, args ...any) row {
	if !storable(args) {
		return noRows{}
	}
	return postgresRow{q.on.QueryRow(ctx, query, args...)}
}

// errText is the error of a text that PostgreSQL does not keep. Who looks for one learns
// that there is none.
var errText = problem.New(problem.Invalid, "InvalidText", "A text has a zero byte or is not UTF-8.").Because(sql.ErrNoRows)

// storable reports whether PostgreSQL takes all texts among the arguments. It would end
// the transaction otherwise, and the statements of everyone in it.
func storable(args []any) bool {
	for _, arg := range args {
		if v := reflect.ValueOf(arg); v.Kind() == reflect.String && (strings.Contains(v.String(), "\x00") || !utf8.ValidString(v.String())) {
			return false
		}
	}
	return true
}

// noRows is what is found under a text that cannot be there.
type noRows struct{}

func (noRows) Scan(...any) error { return errText }
func (noRows) Next() bool        { return false }
func (noRows) Err() error        { return nil }
func (noRows) Close() error      { return nil }

// postgresRow scans as database/sql does; its pgx.ErrNoRows is a sql.ErrNoRows.
type postgresRow struct{ pgx.Row }

func (r postgresRow) Scan(dest ...any) error { return r.Row.Scan(scannable(dest)...) }

type postgresRows struct{ pgx.Rows }

func (r postgresRows) Scan(dest ...any) error { return r.Rows.Scan(scannable(dest)...) }
func (r postgresRows) Close() error           { r.Rows.Close(); return nil }

// scannable lets 0 and 1 be scanned into a bool.
func scannable(dest []any) []any {
	dest = slices.Clone(dest)
	for i, d := range dest {
		if b, ok := d.(*bool); ok {
			dest[i] = (*flag)(b)
		}
	}
	return dest
}

type flag bool

// Scan implements sql.Scanner.
func (f *flag) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("%v is not 0 or 1", value)
	}
	*f = n != 0
	return nil
}

// postgresTx is a transaction, which is over when its time is.
type postgresTx struct {
	postgresQuerier
	tx    pgx.Tx
	until time.Time
}

func (t postgresTx) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, t.until)
}

func (t postgresTx) commit() error {
	ctx, cancel := t.bound(context.Background())
	defer cancel()
	return t.tx.Commit(ctx)
}

func (t postgresTx) rollback() error {
	ctx, cancel := t.bound(context.Background())
	defer cancel()
	return t.tx.Rollback(ctx)
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
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
	"github.com/acrux/acrux/internal/memo"
)

// postgres is a database of PostgreSQL. Of a server's connections one writes.
type postgres struct {
	writer *pgxpool.Pool
	pool   *pgxpool.Pool
	look   string // for the log
	times  times
}

// times bound what is waited for. Nobody waits for ever for a database that went away
// without a word, or answers too slowly to be of use.
type times struct {
	connect time.Duration // to be let in; a connect_timeout in the URL goes before
	turn    time.Duration // in which a server that does nothing loses its turn to write
	wait    time.Duration // for this server's turn to write
	batch   time.Duration // from the turn to the commit
	read    time.Duration // of a statement that reads, with the wait for a connection
}

var usualTimes = times{connect: 5 * time.Second, turn: 5 * time.Second, wait: patience,
	batch: time.Minute, read: 15 * time.Second}

const (
	// connections is how many read and work on jobs, unless the URL has pool_max_conns.
	connections = 8
	// turn is the advisory lock of who writes. The number is arbitrary and ours.
	turn = 4705322986172
	// beginWriting waits for this server's turn, which ends with the transaction. A server
	// that does nothing in the middle of its turn, for it was stopped or its machine is gone,
	// is thrown out by the database: what it wrote in it is undone, and when it wakes up, its
	// connection is gone and its next statement fails.
	beginWriting = `BEGIN; SET LOCAL lock_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %d; ` +
		`SELECT pg_advisory_xact_lock(%d)`
	// evictReader throws out a server that was stopped while the database sends it what it
	// has read in its turn, which no timeout of PostgreSQL's ends.
	evictReader = `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = $1
		AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND state = 'active' AND wait_event_type = 'Client' AND state_change < now() - $2 * interval '1 millisecond'`
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
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = usualTimes.connect
	}
	one := config.Copy()
	one.MaxConns, one.MinConns, one.MinIdleConns = 1, 0, 0
	if u, err := url.Parse(where); err == nil && !u.Query().Has("pool_max_conns") {
		config.MaxConns = connections
	}
	p := &postgres{look: whereToLook(&config.ConnConfig.Config), times: usualTimes}
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
	if _, err := lock.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, turn); err != nil {
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
	tx, err := p.beginOnce(lasting)
	if p.stale(err) { // nothing was done yet, so it may be done again
		tx, err = p.beginOnce(lasting)
	}
	if err != nil {
		return nil, errors.Join(err, p.evict(err))
	}
	return &postgresTx{tx: tx, until: time.Now().Add(p.times.batch)}, nil
}

func (p *postgres) beginOnce(lasting bool) (pgx.Tx, error) {
	// The database ends the wait, and we do if it does not answer.
	ctx, cancel := context.WithTimeout(context.Background(), p.times.wait+p.times.connect)
	defer cancel()
	begin := fmt.Sprintf(beginWriting, p.times.wait.Milliseconds(), p.times.turn.Milliseconds(), turn)
	if !lasting {
		begin += `; SET LOCAL synchronous_commit = off`
	}
	return p.writer.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
}

// evict frees the turn for the next try, if err says that somebody has it for too long.
func (p *postgres) evict(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "55P03" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.times.read)
	defer cancel()
	_, err = p.pool.Exec(ctx, evictReader, turn, p.times.turn.Milliseconds())
	return err
}

func (p *postgres) reader() querier { return postgresReader{postgresQuerier{p.pool}, p} }

// generation is asked of the database, where other servers leave it. Of the content of
// registries, which changes with every push, there is none. The database is asked first: the
// pair stands for what was there when the second number was read.
func (p *postgres) generation(ctx context.Context, what topic, own func() uint64) (uint64, bool) {
	if what != everything {
		return 0, false
	}
	theirs, ok := memo.Asked(ctx, func(ctx context.Context) (uint64, bool) {
		var n int64
		err := p.reader().queryRow(ctx, `SELECT n FROM generation`).Scan(&n)
		return uint64(n), err == nil // what is then read has the same error
	})
	return theirs<<32 | own()&math.MaxUint32, ok
}

func (p *postgres) othersCommitted() bool { return false }

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

// postgresReader bounds the time of statements on the pool.
type postgresReader struct {
	postgresQuerier
	on *postgres
}

func (r postgresReader) query(ctx context.Context, query string, args ...any) (rows, error) {
	ctx, cancel := context.WithTimeout(ctx, r.on.times.read)
	all, err := r.postgresQuerier.query(ctx, query, args...)
	if err != nil {
		cancel()
		return all, err
	}
	return timedRows{all, cancel}, nil
}

func (r postgresReader) queryRow(ctx context.Context, query string, args ...any) row {
	return timedRow{r, ctx, query, args}
}

// timedRows end the time of their statement when they are closed.
type timedRows struct {
	rows
	cancel context.CancelFunc
}

func (r timedRows) Close() error { defer r.cancel(); return r.rows.Close() }

// timedRow is a row that is asked for when it is scanned, and once more if the connection
// was a stale one.
type timedRow struct {
	reader postgresReader
	ctx    context.Context
	query  string
	args   []any
}

func (r timedRow) Scan(dest ...any) error {
	err := r.once(dest)
	if r.reader.on.stale(err) {
		err = r.once(dest)
	}
	return err
}

func (r timedRow) once(dest []any) error {
	ctx, cancel := context.WithTimeout(r.ctx, r.reader.on.times.read)
	defer cancel()
	return r.reader.postgresQuerier.queryRow(ctx, r.query, r.args...).Scan(dest...)
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

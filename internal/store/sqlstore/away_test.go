package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/jobs"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// note writes a name down; notes are those that were.
func note(ctx context.Context, db *DB, name string) error {
	_, err := db.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, '')`, name)
	return err
}

func notes(t *testing.T, db *DB) string {
	t.Helper()
	names, err := collect(t.Context(), db, scanText, `SELECT name FROM settings ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// isAway fails the test unless the error is that of a database that does not work for now,
// which says where to look for the cause and does not show it.
func isAway(t *testing.T, what string, err error) {
	t.Helper()
	p := problem.From(err)
	if p.Kind != problem.Away || p.Look == "" || p.Cause == nil || strings.Contains(p.Text(), "127.0.0.1") || len(p.Hints) > 0 {
		t.Errorf("%s: %v", what, err)
	}
}

// two returns two servers of a database, whose times are short.
func two(t *testing.T) (one, other *DB) {
	t.Helper()
	all := servers(t, sqlstoretest.Database(t), 2)
	for _, db := range all {
		db.backend.(*postgres).times.turn = 200 * time.Millisecond
	}
	return all[0], all[1]
}

// A server that is stopped in the middle of its turn loses it: others go on, and when it
// wakes up, it writes nothing with a turn that it does not have any more.
func TestTurnLost(t *testing.T) {
	one, other := two(t)
	err := one.InTx(t.Context(), func(ctx context.Context) error {
		if err := note(ctx, one, "before it stopped"); err != nil {
			t.Error(err)
		}
		if err := note(t.Context(), other, "other"); err != nil { // meanwhile
			t.Errorf("the other server: %v", err)
		}
		err := note(ctx, one, "after it woke up")
		isAway(t, "its next statement", err)
		return nil // and it does not even heed that
	})
	isAway(t, "its transaction", err)
	if got := notes(t, other); got != "other" {
		t.Errorf("there is %q", got)
	}
	if err := note(t.Context(), one, "one"); err != nil {
		t.Errorf("its next transaction: %v", err)
	}
}

// So does one that is stopped while the database sends it what it reads, which then waits
// for the client and not for a statement.
func TestTurnLostWhileReading(t *testing.T) {
	one, other := two(t)
	other.backend.(*postgres).times.wait = time.Second
	err := one.InTx(t.Context(), func(ctx context.Context) error {
		if err := note(ctx, one, "before it stopped"); err != nil {
			t.Error(err)
		}
		rows, err := one.reader(ctx).query(ctx, `SELECT repeat('x', 10000) FROM generate_series(1, 10000)`)
		if err != nil {
			return err
		}
		defer rows.Close()
		rows.Next()
		isAway(t, "who waited too long", note(t.Context(), other, "first"))
		if err := note(t.Context(), other, "second"); err != nil {
			t.Errorf("the next one: %v", err)
		}
		for rows.Next() {
		}
		return rows.Err()
	})
	isAway(t, "its transaction", err)
	if got := notes(t, other); got != "second" {
		t.Errorf("there is %q", got)
	}
}

// Who works in his turn keeps it, and who waits for too long is told so.
func TestTurnKept(t *testing.T) {
	one, other := two(t)
	other.backend.(*postgres).times.wait = 100 * time.Millisecond
	err := one.InTx(t.Context(), func(ctx context.Context) error {
		waited := make(chan error, 1)
		go func() { waited <- note(t.Context(), other, "other") }()
		for {
			select {
			case err := <-waited:
				isAway(t, "the other", err)
				return note(ctx, one, "one")
			default:
				if _, err := one.exec(ctx, `SELECT pg_sleep(0.3)`); err != nil {
					return err
				}
			}
		}
	})
	if got := notes(t, one); err != nil || got != "one" {
		t.Errorf("there is %q, %v", got, err)
	}
}

// Who waits behind a transaction that takes too long leaves, and his is not run.
func TestTiredOfWaiting(t *testing.T) {
	db, err := Open(t.Context(), sqlstoretest.Where(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.InTx(t.Context(), func(ctx context.Context) error {
		db.patience = 50 * time.Millisecond
		defer func() { db.patience = patience }()
		isAway(t, "who waited", note(t.Context(), db, "late"))
		return note(ctx, db, "long")
	})
	if err != nil {
		t.Error(err)
	}
	if err := note(t.Context(), db, "next"); err != nil {
		t.Error(err)
	}
	if got := notes(t, db); got != "long next" {
		t.Errorf("there is %q", got)
	}
}

// A database that went away, by saying so or without a word, is an error that may be over in
// a moment, and once it is back everything is.
func TestPostgresAway(t *testing.T) {
	proxy := sqlstoretest.Through(t)
	db := servers(t, proxy.URL, 1)[0]
	p := db.backend.(*postgres)
	// Times are short while it is away, so that the test is; who waits for one that is back has
	// the usual ones: on a busy machine it may take its time.
	short := times{connect: 500 * time.Millisecond, turn: time.Second, wait: 500 * time.Millisecond, batch: 500 * time.Millisecond, read: 500 * time.Millisecond}
	back := func() { p.times = usualTimes; proxy.Work() }
	ask := func(when string) {
		t.Helper()
		isAway(t, "a write "+when, note(t.Context(), db, when))
		var n int
		isAway(t, "a look "+when, db.queryRow(t.Context(), `SELECT 1`).Scan(&n))
		_, err := collect(t.Context(), db, scanText, `SELECT name FROM settings`)
		isAway(t, "a list "+when, err)
	}
	for range 2 {
		for _, mode := range []struct {
			name string
			set  func()
		}{{"gone", proxy.Go}, {"hanging", proxy.Hang}} {
			p.times = short
			mode.set()
			ask(mode.name)
			back()
			if err := note(t.Context(), db, "back from "+mode.name); err != nil {
				t.Errorf("a write after it was %s: %v", mode.name, err)
			}
			notes(t, db)
			if _, err := db.exec(t.Context(), `DELETE FROM settings`); err != nil {
				t.Error(err)
			}
		}
	}
	p.times = short
	err := db.InTx(t.Context(), func(ctx context.Context) error {
		proxy.Hang()
		return note(ctx, db, "in the middle")
	})
	isAway(t, "in the middle", err)
	back()
	if err := note(t.Context(), db, "back"); err != nil {
		t.Error(err)
	}
	if got := notes(t, db); got != "back" {
		t.Errorf("there is %q", got)
	}
	// One that was started anew has let go of all connections, which nobody is told of.
	proxy.Go()
	proxy.Work()
	if got := notes(t, db); got != "back" {
		t.Errorf("there is %q", got)
	}
	proxy.Go()
	proxy.Work()
	if err := note(t.Context(), db, "again"); err != nil {
		t.Error(err)
	}
}

// A database that only reads for now, as one that became another one's copy, says so.
func TestPostgresReadOnly(t *testing.T) {
	where := sqlstoretest.Database(t)
	db := servers(t, where, 1)[0]
	name := db.backend.(*postgres).pool.Config().ConnConfig.Database
	beside := where + "&default_transaction_read_only=off"
	set := func(to string) {
		sqlstoretest.Texts(t, beside, `ALTER DATABASE `+name+` SET default_transaction_read_only = `+to)
		sqlstoretest.Texts(t, beside, `SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		for now := ""; now != to; { // the writer has a new connection
			_ = db.InTx(t.Context(), func(ctx context.Context) error {
				return db.queryRow(ctx, `SHOW default_transaction_read_only`).Scan(&now)
			})
		}
	}
	set("on")
	isAway(t, "a write", note(t.Context(), db, "refused"))
	if got := notes(t, db); got != "" {
		t.Errorf("there is %q", got)
	}
	set("off")
	if err := note(t.Context(), db, "kept"); err != nil {
		t.Error(err)
	}
}

// What is over in a moment is told from what is not.
func TestPassingErrors(t *testing.T) {
	p := &postgres{look: "there"}
	refused := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, err := range []error{refused("53300"), refused("57P01"), refused("57P03"), refused("08006"), refused("58030"), refused("25006"), refused("57014"),
		refused("25P03"), context.DeadlineExceeded, &net.OpError{Op: "read", Err: errors.New("reset")}} {
		if p.away(err) == "" {
			t.Errorf("%v is for ever", err)
		}
	}
	for _, err := range []error{refused("53100"), refused("42P01"), refused("23505"), refused("XX001"), sql.ErrNoRows, errors.New("another")} {
		if p.away(err) != "" {
			t.Errorf("%v is over in a moment", err)
		}
	}
}

// A file that somebody else has, or that cannot be written, may be free in a moment. What
// can be read is read.
func TestSQLiteAway(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write := db.backend.(*sqlite).write
	pragma := func(text string) {
		t.Helper()
		if _, err := write.Exec(`PRAGMA ` + text); err != nil {
			t.Fatal(err)
		}
	}
	pragma(`busy_timeout = 50`)
	other, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "acrux.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	isAway(t, "while another writes", note(t.Context(), db, "busy"))
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	pragma(`query_only = 1`)
	isAway(t, "while it cannot be written", note(t.Context(), db, "read-only"))
	pragma(`query_only = 0`)
	if err := note(t.Context(), db, "back"); err != nil {
		t.Error(err)
	}
	if got := notes(t, db); got != "back" {
		t.Errorf("there is %q", got)
	}
}

// A store that is away takes no attempt of a job, so it is done however long that takes.
func TestJobsWaitForStores(t *testing.T) {
	db, err := Open(t.Context(), sqlstoretest.Where(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	q, err := NewQueue(db, "server", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	q.pause = time.Millisecond
	tries, done := 0, make(chan bool)
	q.Handle(jobs.Kind{Name: "errand", AtOnce: 1, Attempts: 2, Timeout: time.Minute, Work: func(context.Context, jobs.Job) error {
		if tries++; tries < 5 {
			return problem.NewAway("there", errors.New("connection refused"))
		}
		close(done)
		return nil
	}})
	if err := q.Enqueue(t.Context(), "errand", ""); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	<-done
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// servers opens a database as many servers do that start at once.
func servers(t *testing.T, where string, n int) []*DB {
	t.Helper()
	all, errs := make([]*DB, n), make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { all[i], errs[i] = Open(t.Context(), where) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, db := range all {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return all
}

// What a transaction has read still holds when it commits, whatever other servers do.
func TestServersTakeTurns(t *testing.T) {
	const each = 25
	all := servers(t, sqlstoretest.Database(t), 4)
	if _, err := all[0].exec(t.Context(), `INSERT INTO settings (name, value) VALUES ('n', '0')`); err != nil {
		t.Fatal(err)
	}
	count := func(db *DB) (n int, err error) {
		err = db.InTx(t.Context(), func(ctx context.Context) error {
			var text string
			if err := db.queryRow(ctx, `SELECT value FROM settings WHERE name = 'n'`).Scan(&text); err != nil {
				return err
			}
			if n, err = strconv.Atoi(text); err != nil {
				return err
			}
			_, err := db.exec(ctx, `UPDATE settings SET value = $1 WHERE name = 'n'`, strconv.Itoa(n+1))
			return err
		})
		return n + 1, err
	}
	var group sync.WaitGroup
	for _, db := range all {
		for range each {
			group.Go(func() {
				if _, err := count(db); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if n, err := count(all[0]); err != nil || n != len(all)*each+1 {
		t.Errorf("%d, %v", n, err)
	}
}

// Whoever loses the connection is told, and those that come afterwards get a new one.
func TestConnectionsLost(t *testing.T) {
	db := servers(t, sqlstoretest.Database(t), 1)[0]
	kill := `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
	var killed int
	err := db.InTx(t.Context(), func(ctx context.Context) error {
		if err := db.backend.reader().queryRow(ctx, kill).Scan(&killed); err != nil {
			return err
		}
		_, err := db.exec(ctx, `INSERT INTO settings (name, value) VALUES ('lost', '')`)
		return err
	})
	if err == nil || killed == 0 {
		t.Errorf("%d connections were lost, and the transaction said %v", killed, err)
	}
	if _, err := db.exec(t.Context(), `INSERT INTO settings (name, value) VALUES ('next', '')`); err != nil {
		t.Errorf("the next transaction: %v", err)
	}
	names, err := collect(t.Context(), db, scanText, `SELECT name FROM settings WHERE name IN ('lost', 'next')`)
	if diff := cmp.Diff([]string{"next"}, names); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// occupied keeps the writer busy until leave is closed: what comes meanwhile is one batch.
func occupied(t *testing.T, db *DB, group *sync.WaitGroup) (leave chan struct{}) {
	entered, leave := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		_ = db.InTx(t.Context(), func(context.Context) error { close(entered); <-leave; return nil })
	})
	<-entered
	return leave
}

// A statement that failed ends the transaction of who made nothing of it, and no other.
func TestErrorIgnored(t *testing.T) {
	db := servers(t, sqlstoretest.Database(t), 1)[0]
	var group sync.WaitGroup
	leave := occupied(t, db, &group)
	errs := make([]error, 3)
	for i := range errs {
		group.Go(func() {
			errs[i] = db.InTx(t.Context(), func(ctx context.Context) error {
				if i == 1 {
					_, _ = db.exec(ctx, `INSERT INTO settings (name) VALUES ('without a value')`)
				}
				if _, err := db.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, '')`, fmt.Sprint(i)); i != 1 {
					return err
				}
				return nil
			})
		})
	}
	close(leave)
	group.Wait()
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("the errors are %v", errs)
	}
	names, err := collect(t.Context(), db, scanText, `SELECT name FROM settings ORDER BY name`)
	if diff := cmp.Diff([]string{"0", "2"}, names); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// Names are in the order of their bytes, page by page.
func TestOrderOfBytes(t *testing.T) {
	s := Registry{DB: servers(t, sqlstoretest.Database(t), 1)[0]}
	want := []string{"a-b", "a.b", "a/b", "a0", "a_b", "aa", "b"}
	for _, i := range []int{3, 0, 6, 2, 5, 1, 4} {
		if err := s.EnsureRepository(t.Context(), registry.Name{Registry: "r", Repository: want[i]}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for last := ""; len(got) <= len(want); {
		page, err := s.Repositories(t.Context(), "r", registry.Page{Last: last, N: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got, last = append(got, page...), page[len(page)-1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A text that the database does not take is found nowhere, kept nowhere, and disturbs
// nobody.
func TestTextsThatCannotBe(t *testing.T) {
	db := servers(t, sqlstoretest.Database(t), 1)[0]
	for _, text := range []registry.Name{{Registry: "zero\x00"}, {Registry: "no UTF-8 \xff"}} {
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			s := Registry{DB: db}
			if _, err := s.Repository(ctx, text); !errors.Is(err, registry.ErrNoRepository) {
				t.Errorf("looking for %q: %v", text.Registry, err)
			}
			if list, err := s.Repositories(ctx, text.Registry, registry.Page{}); err != nil || len(list) > 0 {
				t.Errorf("listing %q: %v, %v", text.Registry, list, err)
			}
			if err := s.EnsureRepository(ctx, text, time.Now()); !problem.Is(err, problem.Invalid) {
				t.Errorf("keeping %q: %v", text.Registry, err)
			}
			return s.EnsureRepository(ctx, registry.Name{Registry: "good"}, time.Now())
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestOpenSharedPostgres(t *testing.T) {
	where := sqlstoretest.Database(t)
	if _, err := OpenShared(t.Context(), where); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	db := servers(t, where, 1)[0]
	shared, err := OpenShared(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Close(); err != nil {
		t.Error(err)
	}
	if _, err := db.exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenShared(t.Context(), where); !errors.Is(err, ErrSchema) {
		t.Errorf("a newer one: %v", err)
	}
}

// Why a database cannot be used is said with what to do, and without the password.
func TestPasswordIsNotTold(t *testing.T) {
	latin := sqlstoretest.Database(t)
	sqlstoretest.Texts(t, latin, `CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
	host := latin[strings.Index(latin, "?"):]
	for where, want := range map[string]string{
		"postgres://acrux:hunter2@127.0.0.1:1/acrux":                        "DatabaseUnreachable",
		"postgres://nobody:hunter2@/postgres" + host:                        "DatabaseRefused",
		"postgres://postgres:hunter2@/nowhere" + host:                       "DatabaseRefused",
		"postgres://postgres:hunter2@/latin1" + host:                        "DatabaseEncoding",
		"postgres://acrux:hunter2@127.0.0.1:port/acrux":                     "DatabaseURL",
		"postgres://acrux:hunter2%@127.0.0.1/acrux":                         "DatabaseURL",
		"postgres://acrux:hunter2/@127.0.0.1/acrux":                         "DatabaseURL",
		"postgresql://acrux:hunter2@127.0.0.1/acrux?pool_max_conns=nothing": "DatabaseURL",
		"postgres://127.0.0.1:1/acrux?password=hunter2&user=acrux":          "DatabaseUnreachable",
		"postgres://127.0.0.1/acrux?password=hunter2&sslmode=maybe":         "DatabaseURL",
	} {
		_, err := Open(t.Context(), where)
		p := problem.From(err)
		if p.Code != want || len(p.Hints) == 0 {
			t.Errorf("%s: %v", where, err)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			if said := err.Error() + p.Text(); strings.Contains(said, "hunter2") {
				t.Errorf("%s: %s", where, said)
			}
		}
	}
}

// Package sqlstoretest lets tests of what lies on the database run on SQLite and on a
// real PostgreSQL: they open the database at Where, and one test of the package says
// Again. The PostgreSQL is the test binary's own: a cluster in a temporary directory,
// reached over a socket in it, that is gone when the binary is.
//
//	ACRUX_TEST_DATABASE=postgres go test ./...
//
// runs the tests that use Where on PostgreSQL alone.
package sqlstoretest

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // a driver
	_ "modernc.org/sqlite"             // another
)

const variable = "ACRUX_TEST_DATABASE"

// Postgres reports whether Where is a PostgreSQL.
func Postgres() bool { return os.Getenv(variable) == "postgres" }

// Where returns where sqlstore.Open finds an empty database, the test's own.
func Where(t testing.TB) string {
	t.Helper()
	if !Postgres() {
		return t.TempDir()
	}
	return Database(t)
}

// Again runs the tests of the package once more, on PostgreSQL. Where there is none, that
// is skipped, and fails if CI is true.
func Again(t *testing.T) {
	t.Helper()
	if Postgres() {
		t.Skip("this is again")
	}
	Needed(t)
	args := []string{"-test.timeout=20m"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), variable+"=postgres")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("on PostgreSQL: %v\n%s", err, out)
	}
}

// Needed skips a test where there is no PostgreSQL, and fails it if CI is true.
func Needed(t testing.TB) {
	t.Helper()
	if _, err := program("postgres"); err == nil {
		return
	}
	const why = "PostgreSQL is not installed here; make deps-test installs it"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

var made atomic.Int64

// Database returns the URL of an empty database of PostgreSQL, the test's own.
func Database(t testing.TB) string {
	t.Helper()
	Needed(t)
	c, err := theCluster()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test%d", made.Add(1))
	if err := c.sql(`CREATE DATABASE ` + name); err != nil {
		t.Fatal(err)
	}
	return c.url(name)
}

// Texts returns the one column of a query on the database where, beside the stores.
func Texts(t testing.TB, where, query string) []string {
	t.Helper()
	driver, source := "pgx", where
	if !strings.HasPrefix(where, "postgres://") {
		driver, source = "sqlite", "file:"+filepath.Join(where, "acrux.db")
	}
	db, err := sql.Open(driver, source)
	must(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		all = append(all, text)
	}
	must(t, rows.Err())
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package crash_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // a driver

	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
	"github.com/acrux/acrux/test/fixture"
)

// pair are two servers of one database, without agents.
type pair struct {
	t        *testing.T
	database string
	servers  [2]*fixture.Server
	environ  []string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	if testing.Short() {
		t.Skip("whole servers take longer than a short test may")
	}
	sqlstoretest.Needed(t)
	p := &pair{t: t, database: sqlstoretest.Database(t), environ: append(os.Environ(), asProgram+"=1", "ACRUX_CONFIG_DIR="+t.TempDir())}
	config := fmt.Sprintf("agent: {off: true}\ndatabase: %q\n", p.database)
	for i := range p.servers {
		data := t.TempDir()
		if i > 0 {
			must(t, os.CopyFS(filepath.Join(data, "keys"), os.DirFS(filepath.Join(p.servers[0].Data, "keys"))))
			must(t, os.Chmod(filepath.Join(data, "keys"), 0o700))
			for _, name := range []string{"master.key", "admin.json"} {
				must(t, os.Chmod(filepath.Join(data, "keys", name), 0o600))
			}
		}
		var err error
		p.servers[i], err = fixture.StartServer(os.Args[0], data, config, p.environ)
		must(t, err)
		t.Cleanup(p.servers[i].Kill)
	}
	return p
}

// az begins a client command at one of the servers.
func (p *pair) az(server int, args ...string) (wait func() (string, error)) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), os.Args[0], args...)
	cmd.Env = slices.Concat(p.environ, p.servers[server].Exports())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(p.t, cmd.Start())
	return func() (string, error) { err := cmd.Wait(); return out.String(), err }
}

func (p *pair) group(server int, name string) func() (string, error) {
	return p.az(server, "group", "create", "--name", name, "--location", "eastus")
}

// stopInTurn stops the first server while it writes a group in its turn: the test keeps the
// table locked until it waits there.
func (p *pair) stopInTurn(name string) (wait func() (string, error)) {
	p.t.Helper()
	db, err := sql.Open("pgx", p.database)
	must(p.t, err)
	defer db.Close()
	tx, err := db.BeginTx(context.WithoutCancel(p.t.Context()), nil)
	must(p.t, err)
	_, err = tx.Exec(`LOCK TABLE documents IN SHARE ROW EXCLUSIVE MODE`)
	must(p.t, err)
	wait = p.group(0, name)
	const waits = `SELECT pid::text FROM pg_locks WHERE NOT granted AND relation = 'documents'::regclass`
	for len(sqlstoretest.Texts(p.t, p.database, waits)) == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	must(p.t, syscall.Kill(p.servers[0].PID(), syscall.SIGSTOP))
	must(p.t, tx.Rollback())
	return wait
}

// A server that is stopped in the middle of a write keeps another one of the database from
// writing for seconds only, and has not written anything when it goes on.
func TestFrozenServer(t *testing.T) {
	p := newPair(t)
	frozen := p.stopInTurn("frozen")
	began := time.Now()
	if out, err := p.group(1, "other")(); err != nil {
		t.Errorf("the other server: %v: %s", err, out)
	}
	t.Logf("the other server wrote after %s", time.Since(began))
	must(t, syscall.Kill(p.servers[0].PID(), syscall.SIGCONT))
	if out, err := frozen(); err == nil || !strings.Contains(out, "try again in a few seconds") {
		t.Errorf("what was stopped ended with %v: %s", err, out)
	}
	for server, want := range map[int]string{0: "other", 1: "other"} {
		if out, err := p.az(server, "group", "list", "--query", "[].name", "--output", "tsv")(); err != nil || strings.TrimSpace(out) != want {
			t.Errorf("server %d has the groups %s, %v", server, out, err)
		}
	}
	if out, err := p.group(0, "frozen")(); err != nil {
		t.Errorf("tried again: %v: %s", err, out)
	}
	log, err := os.ReadFile(p.servers[0].Log)
	must(t, err)
	if n := bytes.Count(log, []byte("request failed")); n != 1 || !bytes.Contains(log, []byte("pg_")) {
		t.Errorf("the log says %d times that a request failed: %s", n, log)
	}
}

package crash_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// On PostgreSQL a killed server's successor finds everything, ends what was under way
// and goes on.
func TestKilledOnPostgreSQL(t *testing.T) {
	sqlstoretest.Needed(t)
	w := newWorldWith(t, fmt.Sprintf("database: %q\n", sqlstoretest.Database(t)))
	source := filepath.Join(t.TempDir(), "context")
	must(t, os.Mkdir(source, 0o700))
	must(t, os.WriteFile(filepath.Join(source, "Dockerfile"), []byte("FROM myregistry.azurecr."+w.Published.Suffix()+"/base:1\nRUN echo made >/made\n"), 0o600))
	w.az("acr", "build", "--registry", "myregistry", "--image", "made:1", source)
	run := w.longRun("7203")
	w.restart()

	w.eventually("the end of run "+run, func() bool { return w.status(run) == "Error" })
	if tags := w.az("acr", "repository", "show-tags", "--name", "myregistry", "--repository", "made", "--output", "tsv"); tags != "1" {
		t.Errorf("the tags are %q", tags)
	}
	w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/made:1 cat /made", "/dev/null")
	create := w.command(t.Context(), "admin", "create-user", "ada@"+w.Published.Domain, "--data", w.Data)
	create.Stdin = strings.NewReader("correct horse\n")
	if out, err := create.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("has the object ID")) {
		t.Errorf("making a user beside the server: %v: %s", err, out)
	}
	if name := w.az("ad", "user", "show", "--id", "ada@"+w.Published.Domain, "--query", "displayName", "--output", "tsv"); name != "ada@"+w.Published.Domain {
		t.Errorf("the user is %q", name)
	}
	must(t, w.Stop())
	if _, err := os.Stat(filepath.Join(w.Data, "acrux.db")); err == nil {
		t.Error("there is a database in the data directory, too")
	}
}

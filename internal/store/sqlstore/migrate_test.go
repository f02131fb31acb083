package sqlstore

import (
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/acrux/acrux/internal/access/identity"
)

// atFirst makes a database as the first version had it, with an application and a
// managed identity, after all migrations before the directory's.
func atFirst(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "acrux.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO principals (object_id, app_id, kind, display_name, secret_hash, created) VALUES ('o1', 'c1', 'Application', 'app', 'salt:hash', 7)`,
		`INSERT INTO principals (object_id, app_id, kind, display_name, resource, resource_key, created) VALUES ('o2', 'c2', 'ManagedIdentity', 'id', '/X', '/x', 7)`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// Principals of an older database keep their IDs, and applications their secrets.
func TestMigratePrincipals(t *testing.T) {
	dir := t.TempDir()
	atFirst(t, dir)
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := Principals{DB: db}
	app, err := s.RegistrationByClientID(t.Context(), "c1")
	if err != nil || app.DisplayName != "app" || len(app.ObjectID) != 36 || app.ObjectID == "o1" {
		t.Errorf("%+v, %v", app, err)
	}
	if all, err := s.Registrations(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	credentials, err := s.Credentials(t.Context(), "c1")
	if err != nil || len(credentials) != 1 || credentials[0].Hash != "salt:hash" || !credentials[0].Valid(time.Now()) || credentials[0].Kind != identity.Secret {
		t.Errorf("%+v, %v", credentials, err)
	}
	for id, kind := range map[identity.ObjectID]identity.Kind{"o1": identity.Application, "o2": identity.ManagedIdentity} {
		if p, err := s.Principal(t.Context(), id); err != nil || p.Kind != kind || p.Disabled || p.Created.UnixMicro() != 7 {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if of, err := s.PrincipalsOf(t.Context(), "/x"); err != nil || len(of) != 1 {
		t.Errorf("%+v, %v", of, err)
	}
}

// A database is shared only by programs of one version, and only if it is there.
func TestOpenShared(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenShared(t.Context(), dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	atFirst(t, dir)
	if _, err := OpenShared(t.Context(), dir); !errors.Is(err, ErrSchema) {
		t.Errorf("an older one: %v", err)
	}
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	shared, err := OpenShared(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	for i, db := range []*DB{db, shared, db} {
		p := identity.Principal{ObjectID: identity.ObjectID(rune('a' + i)), ClientID: identity.ClientID(rune('a' + i)), Kind: identity.Application, Created: time.Now()}
		if err := (Principals{DB: db}).PutPrincipal(t.Context(), p); err != nil {
			t.Error(err)
		}
	}
	for _, db := range []*DB{db, shared} {
		if all, err := (Principals{DB: db}).Principals(t.Context()); err != nil || len(all) != 5 {
			t.Errorf("%d principals, %v", len(all), err)
		}
	}
}

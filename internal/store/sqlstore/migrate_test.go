package sqlstore

import (
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
	"github.com/acrux/acrux/internal/tasks/run"
)

// upTo makes a database as a version had it, with what the statements write.
func upTo(t *testing.T, where string, version int64, statements ...string) {
	t.Helper()
	driver, source, provide := "sqlite", "file:"+filepath.Join(where, "acrux.db"), sqliteProvider
	if IsURL(where) {
		driver, source, provide = "pgx", where, postgresProvider
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := provide(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// atFirst makes a database as the first version had it, with an application and a
// managed identity, after all migrations before the directory's.
func atFirst(t *testing.T, dir string) {
	t.Helper()
	upTo(t, dir, 3,
		`INSERT INTO principals (object_id, app_id, kind, display_name, secret_hash, created) VALUES ('o1', 'c1', 'Application', 'app', 'salt:hash', 7)`,
		`INSERT INTO principals (object_id, app_id, kind, display_name, resource, resource_key, created) VALUES ('o2', 'c2', 'ManagedIdentity', 'id', '/X', '/x', 7)`)
}

// A migration with a lower number than others that were made is made up for: changes are not
// finished in the order of their numbers.
func TestMigrateOutOfOrder(t *testing.T) {
	dir := t.TempDir()
	upTo(t, dir, Schema(), `DELETE FROM goose_db_version WHERE version_id = 11`,
		`DROP TABLE task_timers`, `DROP TABLE task_bases`, `DROP TABLE trigger_entries`)
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := (Triggers{DB: db}).NextDue(t.Context(), arm.ID{}); err != nil {
		t.Error(err)
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
	if all, err := s.Registrations(t.Context(), identity.Query{Name: "APP"}); err != nil || len(all) != 1 {
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
		if all, err := (Principals{DB: db}).Principals(t.Context(), false, identity.Query{}); err != nil || len(all) != 5 {
			t.Errorf("%d principals, %v", len(all), err)
		}
	}
}

// What lists are read from, and the sizes that are kept, are there for what an older version
// left: documents, runs, names, and content that repositories have in common.
func TestMigrateLists(t *testing.T) {
	where := sqlstoretest.Where(t)
	const group, reg = `/subscriptions/s/resourcegroups/g`, `/subscriptions/s/resourcegroups/g/providers/microsoft.containerregistry/registries/reg`
	statements := []string{
		`INSERT INTO principals (object_id, app_id, kind, display_name, created) VALUES ('o1', 'c1', 'Application', 'B App', 7), ('o2', 'c2', 'Application', 'a app', 7)`,
		`INSERT INTO documents (key, kind, body, etag) VALUES
			('` + group + `', 'microsoft.resources/resourcegroups', '{"id":"/subscriptions/s/resourceGroups/g","kind":"Microsoft.Resources/resourceGroups","tags":{"Team":"Red"},"properties":{}}', ''),
			('` + reg + `', 'microsoft.containerregistry/registries', '{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/Reg","kind":"Microsoft.ContainerRegistry/registries","location":"EastUS","properties":{}}', ''),
			('` + reg + `/tokens/one', 'microsoft.containerregistry/registries/tokens', '{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/Reg/tokens/one","kind":"Microsoft.ContainerRegistry/registries/tokens","properties":{}}', ''),
			('` + reg + `/tokens/two', 'microsoft.containerregistry/registries/tokens', '{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/Reg/tokens/two","kind":"Microsoft.ContainerRegistry/registries/tokens","properties":{}}', '')`,
		`INSERT INTO runs (registry, number, run_id, status, os, arch, body, created, updated, finished) VALUES ('` + reg + `', 1, 'ca1', 'Succeeded', 'linux', 'amd64',
			'{"registry":"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/Reg","properties":{"runId":"ca1","outputImages":[{"repository":"a/b","digest":"sha256:1"}]}}', 1, 1, 1)`,
		`INSERT INTO repositories (id, registry, name, created, updated, deleted) VALUES (1, 'reg', 'one', 1, 1, 0), (2, 'reg', 'two', 1, 1, 0), (3, 'reg', 'gone', 1, 1, 5), (4, 'other', 'one', 1, 1, 0)`,
		`INSERT INTO blobs (id, digest, size, storage_key, created) VALUES (1, 'sha256:a', 100, 'a', 1), (2, 'sha256:b', 1000, 'b', 1)`,
		`INSERT INTO repository_blobs (repository, blob, created) VALUES (1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 2, 1)`,
		`INSERT INTO manifests (repository, digest, media_type, size, image_size, created, updated, deleted) VALUES
			(1, 'sha256:m', 't', 10, 0, 1, 1, 0), (2, 'sha256:m', 't', 10, 0, 1, 1, 7), (1, 'sha256:n', 't', 5, 0, 1, 1, 0), (4, 'sha256:m', 't', 10, 0, 1, 1, 0)`,
	}
	upTo(t, where, 6, statements...)
	db, err := Open(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	docs := Documents{DB: db}
	id, err := arm.ParseID(reg)
	if err != nil {
		t.Fatal(err)
	}
	n, err := docs.Count(t.Context(), id, arm.NewKind("Microsoft.ContainerRegistry/registries/tokens"))
	check("tokens", n, int64(2), err)
	n, err = docs.Count(t.Context(), id.Parent(), registry.Kind)
	check("registries", n, int64(1), err)
	for term, kind := range map[resource.Term]arm.Kind{resource.TagValueTerm("team", "Red"): resource.Groups, resource.LocationTerm("eastus"): registry.Kind, resource.NameTerm("reg"): registry.Kind} {
		found, err := docs.List(t.Context(), resource.Query{Kind: kind, Terms: []resource.Term{term}})
		check(string(term), len(found), 1, err)
	}
	tags, err := docs.Tags(t.Context(), "", 0)
	if err != nil || len(tags) != 1 || tags[0] != (resource.TagCount{Name: "Team", Value: "Red", N: 1}) {
		t.Errorf("the tags are %v, %v", tags, err)
	}
	store := Registry{DB: db}
	size, err := store.Size(t.Context(), "reg")
	check("the registry's size", size, int64(100+1000+10+5), err)
	size, err = store.Size(t.Context(), "other")
	check("the other's size", size, int64(1000+10), err)
	size, err = store.RepositorySize(t.Context(), registry.Name{Registry: "reg", Repository: "one"})
	check("a repository's size", size, int64(100+10+5), err)
	runs, err := Runs{DB: db}.Runs(t.Context(), id, run.Filter{Output: "a/b@sha256:1"})
	check("runs by output", len(runs), 1, err)
	people, err := Principals{DB: db}.Principals(t.Context(), false, identity.Query{Prefix: "B"})
	check("principals by name", len(people), 1, err)
	// Deleting goes on from what was derived.
	if err := store.DeleteRepository(t.Context(), registry.Name{Registry: "reg", Repository: "one"}, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	size, err = store.Size(t.Context(), "reg")
	check("the size without the repository", size, int64(100+1000+10), err)
}

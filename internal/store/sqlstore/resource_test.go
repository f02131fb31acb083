package sqlstore_test

import (
	"testing"

	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/resourcetest"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

func open(t *testing.T, where string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), where)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResourceStore(t *testing.T) {
	resourcetest.Run(t, func(t *testing.T) resourcetest.Stores {
		db := open(t, sqlstoretest.Where(t))
		sealer, err := secret.NewSealer(make([]byte, 32))
		must(t, err)
		return resourcetest.Stores{Documents: sqlstore.Documents{DB: db}, Secrets: sqlstore.Secrets{DB: db, Sealer: sealer}, Principals: sqlstore.Principals{DB: db},
			Assignments: sqlstore.Assignments{DB: db}, Registry: sqlstore.Registry{DB: db}, Runs: sqlstore.Runs{DB: db}}
	})
}

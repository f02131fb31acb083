package identity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

func directory(t *testing.T) *identity.Directory {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstoretest.Where(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &identity.Directory{Store: sqlstore.Principals{DB: db}, TenantID: "tenant"}
}

func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

func TestAuthenticate(t *testing.T) {
	d := directory(t)
	app, password, err := d.NewApplication(t.Context(), "app", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	managed, err := d.NewManaged(t.Context(), "id", "/x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := d.Credentials(t.Context(), app.ClientID)
	if err != nil || len(credentials) != 1 {
		t.Fatal(credentials, err)
	}
	hash := credentials[0].Hash
	for _, test := range []struct {
		name     string
		id       identity.ClientID
		password secret.String
		want     error
	}{
		{"right", app.ClientID, password, nil},
		{"capitals", identity.ClientID(strings.ToUpper(string(app.ClientID))), password, nil},
		{"wrong", app.ClientID, secret.New("wrong"), identity.ErrWrongSecret},
		{"empty", app.ClientID, secret.String{}, identity.ErrWrongSecret},
		{"the hash", app.ClientID, secret.New(hash), identity.ErrWrongSecret},
		{"the object ID", identity.ClientID(app.ObjectID), password, identity.ErrNotFound},
		{"nobody", "nobody", password, identity.ErrNotFound},
		{"a managed identity", managed.ClientID, secret.String{}, identity.ErrWrongSecret},
	} {
		p, err := d.Authenticate(t.Context(), test.id, test.password)
		if !errors.Is(err, test.want) || err == nil && p.ObjectID != app.ObjectID {
			t.Errorf("%s: %v, %v", test.name, p, err)
		}
	}
	if strings.Contains(hash, password.Reveal()) || !strings.HasPrefix(password.Reveal(), "acrux_") {
		t.Error("the secret is kept, or does not look like one")
	}
	if _, again, err := d.NewApplication(t.Context(), "app", time.Now()); err != nil || again.Reveal() == password.Reveal() {
		t.Error("two applications have one secret")
	}
}

func TestFind(t *testing.T) {
	d := directory(t)
	p, err := d.NewManaged(t.Context(), "id", "/Sub/X", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{string(p.ObjectID), string(p.ClientID), strings.ToUpper(string(p.ClientID))} {
		if got, err := d.Find(t.Context(), id); err != nil || got.ObjectID != p.ObjectID {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
	if all, err := d.PrincipalsOf(t.Context(), "/sub/x"); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
	if err := d.DeletePrincipal(t.Context(), p.ObjectID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Find(t.Context(), string(p.ObjectID)); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
}

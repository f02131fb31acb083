package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/secret"
)

// Secrets implements resource.Secrets: sealed rows.
type Secrets struct {
	*DB
	Sealer *secret.Sealer
}

var _ resource.Secrets = Secrets{}

// PutSecret implements resource.Secrets.
func (s Secrets) PutSecret(ctx context.Context, id arm.ID, name string, value secret.String) error {
	sealed := s.Sealer.Seal([]byte(value.Reveal()), sealContext(id, name))
	_, err := s.exec(ctx, `INSERT INTO secrets (resource, name, sealed) VALUES ($1, $2, $3)
		ON CONFLICT (resource, name) DO UPDATE SET sealed = excluded.sealed`, id.Key(), name, sealed)
	return err
}

func sealContext(id arm.ID, name string) string { return id.Key() + "#" + name }

// Secrets implements resource.Secrets.
func (s Secrets) Secrets(ctx context.Context, id arm.ID) (map[string]secret.String, error) {
	type entry struct {
		name   string
		sealed []byte
	}
	entries, err := collect(ctx, s.DB, func(r row) (e entry, err error) {
		err = r.Scan(&e.name, &e.sealed)
		return e, err
	}, `SELECT name, sealed FROM secrets WHERE resource = $1`, id.Key())
	if err != nil {
		return nil, err
	}
	all := make(map[string]secret.String, len(entries))
	for _, e := range entries {
		text, err := s.Sealer.Open(e.sealed, sealContext(id, e.name))
		if err != nil {
			return nil, fmt.Errorf("secret %s of %s: %w", e.name, id, err)
		}
		all[e.name] = secret.New(string(text))
	}
	return all, nil
}

// DeleteSecret implements resource.Secrets.
func (s Secrets) DeleteSecret(ctx context.Context, id arm.ID, name string) error {
	_, err := s.exec(ctx, `DELETE FROM secrets WHERE resource = $1 AND name = $2`, id.Key(), name)
	return err
}

// Setting returns the value of a setting made once, calling make for it the first time.
func (db *DB) Setting(ctx context.Context, name string, make func() string) (string, error) {
	var value string
	err := db.InTx(ctx, func(ctx context.Context) error {
		err := db.queryRow(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		value = make()
		_, err = db.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)`, name, value)
		return err
	})
	return value, err
}

// SigningKeys returns the sealed signing keys, newest first.
func (db *DB) SigningKeys(ctx context.Context) (map[string][]byte, error) {
	type key struct {
		id     string
		sealed []byte
	}
	keys, err := collect(ctx, db, func(r row) (k key, err error) {
		err = r.Scan(&k.id, &k.sealed)
		return k, err
	}, `SELECT id, sealed FROM signing_keys`)
	all := make(map[string][]byte, len(keys))
	for _, k := range keys {
		all[k.id] = k.sealed
	}
	return all, err
}

// PutSigningKey keeps a sealed signing key.
func (db *DB) PutSigningKey(ctx context.Context, id string, sealed []byte, now time.Time) error {
	_, err := db.exec(ctx, `INSERT INTO signing_keys (id, sealed, created) VALUES ($1, $2, $3)`, id, sealed, micros(now))
	return err
}

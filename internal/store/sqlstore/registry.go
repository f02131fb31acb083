package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/registry"
)

// Registry implements registry.Store.
type Registry struct{ *DB }

var _ registry.Store = Registry{}

// instead replaces the driver's "no rows" by a domain's error.
func instead(err, replacement error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return replacement
	}
	return err
}

// none makes an error of a statement that touched no row.
func none(n int64, err, replacement error) error {
	if err == nil && n == 0 {
		return replacement
	}
	return instead(err, replacement)
}

// repositoryID looks once for each function of InTx: nobody else writes meanwhile.
func (s Registry) repositoryID(ctx context.Context, name registry.Name) (id int64, err error) {
	if u := unitOf(ctx); u != nil && u.repositories[name] != 0 {
		return u.repositories[name], nil
	}
	err = s.queryRow(ctx, `SELECT id FROM repositories WHERE registry = $1 AND name = $2 AND deleted = 0`, name.Registry, name.Repository).Scan(&id)
	remember(ctx, name, id)
	return id, instead(err, registry.ErrNoRepository)
}

// remember keeps the ID of a repository, or that it is to be looked for again: 0.
func remember(ctx context.Context, name registry.Name, id int64) {
	if u := unitOf(ctx); u != nil {
		u.repositories[name] = id
	}
}

// Repository implements registry.Store.
func (s Registry) Repository(ctx context.Context, name registry.Name) (registry.Repository, error) {
	repo := registry.Repository{Name: name}
	var id, created, updated int64
	err := s.queryRow(ctx, `SELECT id, created, updated, tag_count, manifest_count, attributes FROM repositories WHERE registry = $1 AND name = $2 AND deleted = 0`,
		name.Registry, name.Repository).Scan(&id, &created, &updated, &repo.Tags, &repo.Manifests, &repo.Attributes)
	remember(ctx, name, id)
	repo.Created, repo.Updated = fromMicros(created), fromMicros(updated)
	return repo, instead(err, registry.ErrNoRepository)
}

// Repositories implements registry.Store.
func (s Registry) Repositories(ctx context.Context, name string, page registry.Page) ([]string, error) {
	return collect(ctx, s.DB, scanText, `SELECT name FROM repositories WHERE registry = $1 AND name > $2 AND attributes & $4 <> 0 AND deleted = 0 ORDER BY name LIMIT $3`,
		name, page.Last, limit(page.N), registry.ListEnabled)
}

func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// limit is N for SQL: zero means all.
func limit(n int) int {
	if n <= 0 {
		return math.MaxInt
	}
	return n
}

// EnsureRepository implements registry.Store.
func (s Registry) EnsureRepository(ctx context.Context, name registry.Name, now time.Time) error {
	return s.add(ctx, `INSERT INTO repositories (registry, name, created, updated) VALUES ($1, $2, $3, $3)
		ON CONFLICT (registry, name) DO UPDATE SET created = excluded.created, updated = excluded.updated, attributes = 15, deleted = 0 WHERE repositories.deleted <> 0`,
		name.Registry, name.Repository, micros(now))
}

// Blob implements registry.Store.
func (s Registry) Blob(ctx context.Context, name registry.Name, d digest.Digest) (registry.Blob, error) {
	b := registry.Blob{Digest: d}
	var unused int64
	err := s.queryRow(ctx, `SELECT b.size, b.storage_key, r.attributes, l.unused FROM blobs b
		JOIN repository_blobs l ON l.blob = b.id JOIN repositories r ON r.id = l.repository
		WHERE r.registry = $1 AND r.name = $2 AND r.deleted = 0 AND b.digest = $3`, name.Registry, name.Repository, d).Scan(&b.Size, &b.Key, &b.Attributes, &unused)
	b.Unused = fromMicros(unused)
	return b, instead(err, registry.ErrNoBlob)
}

// Holder implements registry.Store.
func (s Registry) Holder(ctx context.Context, name string, d digest.Digest) (repository string, err error) {
	err = s.queryRow(ctx, `SELECT r.name FROM blobs b JOIN repository_blobs l ON l.blob = b.id JOIN repositories r ON r.id = l.repository
		WHERE b.digest = $1 AND r.registry = $2 AND r.attributes & $3 <> 0 ORDER BY r.name LIMIT 1`, d, name, registry.ReadEnabled).Scan(&repository)
	return repository, instead(err, registry.ErrNoBlob)
}

// AddBlob implements registry.Store.
func (s Registry) AddBlob(ctx context.Context, name registry.Name, b registry.Blob, now time.Time) (registry.Blob, error) {
	kept := registry.Blob{Digest: b.Digest}
	err := s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		if err := s.add(ctx, `INSERT INTO blobs (digest, size, storage_key, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			b.Digest, b.Size, b.Key, micros(now)); err != nil {
			return err
		}
		var id int64
		var key string
		var here, elsewhere bool
		if err := s.queryRow(ctx, `SELECT b.id, b.size, b.storage_key,
			CASE WHEN EXISTS (SELECT 1 FROM repository_blobs WHERE blob = b.id AND repository = $2) THEN 1 ELSE 0 END,
			CASE WHEN EXISTS (SELECT 1 FROM repository_blobs WHERE blob = b.id AND registry = $3 AND repository <> $2) THEN 1 ELSE 0 END
			FROM blobs b WHERE b.digest = $1`, b.Digest, repo, name.Registry).Scan(&id, &kept.Size, &key, &here, &elsewhere); err != nil {
			return err
		}
		kept.Key = blob.Key(key)
		if here {
			return s.add(ctx, `UPDATE repository_blobs SET unused = $3 WHERE repository = $1 AND blob = $2 AND unused <> 0`, repo, id, micros(now))
		}
		grow(ctx, repo, name.Registry, kept.Size, elsewhere)
		return s.add(ctx, `INSERT INTO repository_blobs (repository, blob, created, unused, registry) VALUES ($1, $2, $3, $3, $4)`,
			repo, id, micros(now), name.Registry)
	})
	return kept, err
}

// UnlinkBlob implements registry.Store.
func (s Registry) UnlinkBlob(ctx context.Context, name registry.Name, d digest.Digest) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		var repo, id int64
		err := s.queryRow(ctx, `SELECT r.id, b.id FROM blobs b JOIN repository_blobs l ON l.blob = b.id JOIN repositories r ON r.id = l.repository
			WHERE r.registry = $1 AND r.name = $2 AND r.deleted = 0 AND b.digest = $3`, name.Registry, name.Repository, d).Scan(&repo, &id)
		if err != nil {
			return instead(err, registry.ErrNoBlob)
		}
		return s.addAll(ctx, unlink(repo, id))
	})
}

// TouchBlob implements registry.Store.
func (s Registry) TouchBlob(ctx context.Context, name registry.Name, d digest.Digest, now time.Time) error {
	return s.add(ctx, `UPDATE repository_blobs SET unused = $4 WHERE unused <> 0 AND unused < $4
		AND repository = (SELECT id FROM repositories WHERE registry = $1 AND name = $2 AND deleted = 0) AND blob = (SELECT id FROM blobs WHERE digest = $3)`,
		name.Registry, name.Repository, d, micros(now))
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/blob"
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
	return err
}

func (s Registry) repositoryID(ctx context.Context, name registry.Name) (int64, error) {
	var id int64
	err := s.queryRow(ctx, `SELECT id FROM repositories WHERE registry = $1 AND name = $2`, name.Registry, name.Repository).Scan(&id)
	return id, instead(err, registry.ErrNoRepository)
}

// Repository implements registry.Store.
func (s Registry) Repository(ctx context.Context, name registry.Name) (registry.Repository, error) {
	repo := registry.Repository{Name: name}
	var created, updated int64
	err := s.queryRow(ctx, `SELECT created, updated, tag_count, manifest_count, attributes FROM repositories WHERE registry = $1 AND name = $2`,
		name.Registry, name.Repository).Scan(&created, &updated, &repo.Tags, &repo.Manifests, &repo.Attributes)
	repo.Created, repo.Updated = fromMicros(created), fromMicros(updated)
	return repo, instead(err, registry.ErrNoRepository)
}

// Repositories implements registry.Store.
func (s Registry) Repositories(ctx context.Context, name string, page registry.Page) ([]string, error) {
	return collect(ctx, s.DB, scanText, `SELECT name FROM repositories WHERE registry = $1 AND name > $2 AND attributes & $4 <> 0 ORDER BY name LIMIT $3`,
		name, page.Last, limit(page.N), registry.ListEnabled)
}

func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// limit is N for SQL: zero means all.
func limit(n int) int {
	if n <= 0 {
		return -1
	}
	return n
}

// Size implements registry.Store.
func (s Registry) Size(ctx context.Context, name string) (size int64, err error) {
	err = s.queryRow(ctx, `SELECT CAST(
		(SELECT coalesce(sum(b.size), 0) FROM blobs b WHERE b.id IN
			(SELECT l.blob FROM repository_blobs l JOIN repositories r ON r.id = l.repository WHERE r.registry = $1)) +
		(SELECT coalesce(sum(d.size), 0) FROM
			(SELECT DISTINCT m.digest, m.size FROM manifests m JOIN repositories r ON r.id = m.repository WHERE r.registry = $1) AS d) AS BIGINT)`, name).Scan(&size)
	return size, err
}

// EnsureRepository implements registry.Store.
func (s Registry) EnsureRepository(ctx context.Context, name registry.Name, now time.Time) error {
	_, err := s.exec(ctx, `INSERT INTO repositories (registry, name, created, updated) VALUES ($1, $2, $3, $3) ON CONFLICT DO NOTHING`,
		name.Registry, name.Repository, micros(now))
	return err
}

// DeleteRepository implements registry.Store.
func (s Registry) DeleteRepository(ctx context.Context, name registry.Name) error {
	n, err := s.exec(ctx, `DELETE FROM repositories WHERE registry = $1 AND name = $2`, name.Registry, name.Repository)
	return none(n, err, registry.ErrNoRepository)
}

// Blob implements registry.Store.
func (s Registry) Blob(ctx context.Context, name registry.Name, d digest.Digest) (registry.Blob, error) {
	b := registry.Blob{Digest: d}
	err := s.queryRow(ctx, `SELECT b.size, b.storage_key, r.attributes FROM blobs b
		JOIN repository_blobs l ON l.blob = b.id JOIN repositories r ON r.id = l.repository
		WHERE r.registry = $1 AND r.name = $2 AND b.digest = $3`, name.Registry, name.Repository, d).Scan(&b.Size, &b.Key, &b.Attributes)
	return b, instead(err, registry.ErrNoBlob)
}

// AddBlob implements registry.Store.
func (s Registry) AddBlob(ctx context.Context, name registry.Name, b registry.Blob, now time.Time) (registry.Blob, error) {
	kept := registry.Blob{Digest: b.Digest}
	err := s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		if _, err := s.exec(ctx, `INSERT INTO blobs (digest, size, storage_key, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			b.Digest, b.Size, b.Key, micros(now)); err != nil {
			return err
		}
		var id int64
		var key string
		if err := s.queryRow(ctx, `SELECT id, size, storage_key FROM blobs WHERE digest = $1`, b.Digest).Scan(&id, &kept.Size, &key); err != nil {
			return err
		}
		kept.Key = blob.Key(key)
		_, err = s.exec(ctx, `INSERT INTO repository_blobs (repository, blob, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, repo, id, micros(now))
		return err
	})
	return kept, err
}

// UnlinkBlob implements registry.Store.
func (s Registry) UnlinkBlob(ctx context.Context, name registry.Name, d digest.Digest) error {
	n, err := s.exec(ctx, `DELETE FROM repository_blobs
		WHERE repository = (SELECT id FROM repositories WHERE registry = $1 AND name = $2) AND blob = (SELECT id FROM blobs WHERE digest = $3)`,
		name.Registry, name.Repository, d)
	return none(n, err, registry.ErrNoBlob)
}

// Tag implements registry.Store.
func (s Registry) Tag(ctx context.Context, name registry.Name, tag string) (registry.Tag, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return registry.Tag{}, err
	}
	t, err := scanTag(s.queryRow(ctx, selectTag+`WHERE t.repository = $1 AND t.name = $2`, repo, tag))
	return t, instead(err, registry.ErrNoManifest)
}

const selectTag = `SELECT t.name, m.digest, t.created, t.updated, t.attributes FROM tags t JOIN manifests m ON m.id = t.manifest `

func scanTag(r row) (t registry.Tag, err error) {
	var created, updated int64
	err = r.Scan(&t.Name, &t.Digest, &created, &updated, &t.Attributes)
	t.Created, t.Updated = fromMicros(created), fromMicros(updated)
	return t, err
}

// Tags implements registry.Store. A page by time goes on after the tag named Last.
func (s Registry) Tags(ctx context.Context, name registry.Name, q registry.TagQuery) ([]registry.Tag, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return nil, err
	}
	where := `WHERE t.repository = $1 AND ($2 = '' OR m.digest = $2) AND t.attributes & $5 <> 0 AND `
	switch q.Order {
	case registry.TimeAsc:
		where += `($3 = '' OR (t.updated, t.name) > (SELECT updated, name FROM tags WHERE repository = $1 AND name = $3)) ORDER BY t.updated, t.name`
	case registry.TimeDesc:
		where += `($3 = '' OR (t.updated, t.name) < (SELECT updated, name FROM tags WHERE repository = $1 AND name = $3)) ORDER BY t.updated DESC, t.name DESC`
	default:
		where += `t.name > $3 ORDER BY t.name`
	}
	return collect(ctx, s.DB, scanTag, selectTag+where+` LIMIT $4`, repo, string(q.Digest), q.Last, limit(q.N), registry.ListEnabled)
}

// PutTag implements registry.Store.
func (s Registry) PutTag(ctx context.Context, name registry.Name, tag string, d digest.Digest, now time.Time) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		_, err = s.exec(ctx, `INSERT INTO tags (repository, name, manifest, created, updated)
			SELECT $1, $2, id, $4, $4 FROM manifests WHERE repository = $1 AND digest = $3
			ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest, updated = excluded.updated`, repo, tag, d, micros(now))
		if err != nil {
			return err
		}
		return s.recount(ctx, repo, now)
	})
}

// recount brings a repository's counters and time of change up to date.
func (s Registry) recount(ctx context.Context, repo int64, now time.Time) error {
	_, err := s.exec(ctx, `UPDATE repositories SET updated = CASE WHEN $2 > 0 THEN $2 ELSE updated END,
		tag_count = (SELECT count(*) FROM tags WHERE repository = $1),
		manifest_count = (SELECT count(*) FROM manifests WHERE repository = $1) WHERE id = $1`, repo, micros(now))
	return err
}

// DeleteTag implements registry.Store.
func (s Registry) DeleteTag(ctx context.Context, name registry.Name, tag string) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		n, err := s.exec(ctx, `DELETE FROM tags WHERE repository = $1 AND name = $2`, repo, tag)
		if err := none(n, err, registry.ErrNoManifest); err != nil {
			return err
		}
		return s.recount(ctx, repo, time.Time{})
	})
}

// AddEvent implements registry.Store.
func (s Registry) AddEvent(ctx context.Context, e registry.Event) error {
	_, err := s.exec(ctx, `INSERT INTO events (registry, action, repository, tag, digest, actor, created) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.Name.Registry, e.Action, e.Name.Repository, e.Tag, e.Digest, e.Actor, micros(e.Time))
	return err
}

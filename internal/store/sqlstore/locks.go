package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
)

// SetAttributes implements registry.Store, in one statement: two changes at once do
// not undo each other.
func (s Registry) SetAttributes(ctx context.Context, name registry.Name, reference string, on, off registry.Attributes) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		const change = ` SET attributes = (attributes | $2) & ~CAST($3 AS BIGINT) WHERE `
		query, args := `UPDATE repositories`+change+`id = $1`, []any{repo, on, off}
		switch {
		case reference == "":
		case digest.Digest(reference).Validate() == nil:
			query, args = `UPDATE manifests`+change+`repository = $1 AND digest = $4 AND deleted = 0`, append(args, reference)
		default:
			query, args = `UPDATE tags`+change+`repository = $1 AND name = $4`, append(args, reference)
		}
		n, err := s.exec(ctx, query, args...)
		return none(n, err, registry.ErrNoManifest)
	})
}

// held are the manifests that would be lost or broken with the manifest or blob $2 of
// the repository $1: itself, and the indexes above, however many steps.
const held = `WITH RECURSIVE held (id, digest) AS (
	SELECT id, digest FROM manifests WHERE repository = $1 AND digest = $2 AND deleted = 0
	UNION
	SELECT m.id, m.digest FROM manifests m JOIN manifest_blobs l ON l.manifest = m.id JOIN blobs b ON b.id = l.blob WHERE m.repository = $1 AND m.deleted = 0 AND b.digest = $2
	UNION
	SELECT p.id, p.digest FROM held h JOIN manifest_children c ON c.digest = h.digest JOIN manifests p ON p.id = c.parent WHERE p.repository = $1 AND p.deleted = 0) `

// FirstLock implements registry.Store.
func (s Registry) FirstLock(ctx context.Context, name registry.Name, d digest.Digest, need registry.Attributes) (lock registry.Lock, found bool, err error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return lock, false, err
	}
	query := held
	only := ` AND id IN (SELECT id FROM held)`
	if d == "" {
		query, only = ``, ` AND $2 = ''`
	}
	query += `SELECT '', attributes FROM repositories WHERE id = $1 AND attributes & $3 <> $3
		UNION ALL SELECT * FROM (SELECT digest, attributes FROM manifests WHERE repository = $1 AND deleted = 0 AND attributes & $3 <> $3` + only + ` ORDER BY digest) AS m
		UNION ALL SELECT * FROM (SELECT name, attributes FROM (SELECT manifest AS id, repository, name, attributes FROM tags) AS a WHERE repository = $1 AND attributes & $3 <> $3` + only + ` ORDER BY name) AS t
		LIMIT 1`
	err = s.queryRow(ctx, query, repo, string(d), need).Scan(&lock.Reference, &lock.Attributes)
	if errors.Is(err, sql.ErrNoRows) {
		return lock, false, nil
	}
	return lock, err == nil, err
}

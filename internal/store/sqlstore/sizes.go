package sqlstore

import (
	"context"
	"fmt"

	"github.com/acrux/acrux/internal/registry"
)

// Sizes are kept, not counted: each statement that links a blob or writes a manifest, and
// each that takes one away, has those beside it that change the size of the repository,
// and of the registry if no other of its repositories has the same. All are one
// transaction. What can only be restored counts.

// sizes are what a transaction adds to repositories and registries. An image may
// have thousands of layers, and PostgreSQL goes through all states that a transaction gave a
// row to find the last: so each row is written once, at the end.
type sizes struct {
	repositories map[int64]int64
	registries   map[string]int64
}

// grow notes, in ctx's transaction, that a repository has so many bytes more; elsewhere says
// that another repository of its registry had them.
func grow(ctx context.Context, repo int64, registry string, size int64, elsewhere bool) {
	grown := unitOf(ctx).grown
	grown.repositories[repo] += size
	if !elsewhere {
		grown.registries[registry] += size
	}
}

// write is what ends a transaction.
func (s sizes) write(ctx context.Context, tx transaction) error {
	for repo, size := range s.repositories {
		if err := tx.later(ctx, waiting{statement: statement{
			`UPDATE repositories SET size = size + $2 WHERE id = $1`, []any{repo, size}}}); err != nil {
			return fmt.Errorf("writing the size of a repository: %w", err)
		}
	}
	for registry, size := range s.registries {
		if err := tx.later(ctx, waiting{statement: statement{`INSERT INTO registry_sizes (registry, size) VALUES ($1, $2)
			ON CONFLICT (registry) DO UPDATE SET size = registry_sizes.size + excluded.size`, []any{registry, size}}}); err != nil {
			return fmt.Errorf("writing the size of a registry: %w", err)
		}
	}
	return nil
}

// Size implements registry.Store.
func (s Registry) Size(ctx context.Context, name string) (size int64, err error) {
	err = s.queryRow(ctx, `SELECT size FROM registry_sizes WHERE registry = $1`, name).Scan(&size)
	return size, instead(err, nil)
}

// RepositorySize implements registry.Store.
func (s Registry) RepositorySize(ctx context.Context, name registry.Name) (size int64, err error) {
	err = s.queryRow(ctx, `SELECT size FROM repositories WHERE registry = $1 AND name = $2 AND deleted = 0`, name.Registry, name.Repository).Scan(&size)
	return size, instead(err, registry.ErrNoRepository)
}

// unlink takes a blob from a repository that has it, and its size.
func unlink(repo, blob int64) []statement {
	return []statement{
		{`UPDATE registry_sizes SET size = size - (SELECT size FROM blobs WHERE id = $2) WHERE registry = (SELECT registry FROM repositories WHERE id = $1)
			AND NOT EXISTS (SELECT 1 FROM repository_blobs o WHERE o.blob = $2 AND o.registry = registry_sizes.registry AND o.repository <> $1)`, []any{repo, blob}},
		{`UPDATE repositories SET size = size - (SELECT size FROM blobs WHERE id = $2) WHERE id = $1`, []any{repo, blob}},
		{`DELETE FROM repository_blobs WHERE repository = $1 AND blob = $2`, []any{repo, blob}},
		{`UPDATE blobs SET loose = 1 WHERE id = $1`, []any{blob}},
	}
}

// unwrite takes a manifest from its repository, and its size.
func unwrite(repo, manifest int64) []statement {
	return []statement{
		{`UPDATE registry_sizes SET size = size - (SELECT size FROM manifests WHERE id = $2) WHERE registry = (SELECT registry FROM repositories WHERE id = $1)
			AND NOT EXISTS (SELECT 1 FROM manifests o WHERE o.digest = (SELECT digest FROM manifests WHERE id = $2) AND o.registry = registry_sizes.registry AND o.repository <> $1)`,
			[]any{repo, manifest}},
		{`UPDATE repositories SET size = size - (SELECT size FROM manifests WHERE id = $2) WHERE id = $1`, []any{repo, manifest}},
		{`DELETE FROM manifests WHERE id = $1`, []any{manifest}},
	}
}

// shrink takes from a registry what a repository alone has, which is about to go.
func shrink(repo int64) []statement {
	return []statement{
		{`UPDATE registry_sizes SET size = size - (SELECT coalesce(sum(b.size), 0) FROM repository_blobs l JOIN blobs b ON b.id = l.blob WHERE l.repository = $1
			AND NOT EXISTS (SELECT 1 FROM repository_blobs o WHERE o.blob = l.blob AND o.registry = l.registry AND o.repository <> $1))
			WHERE registry = (SELECT registry FROM repositories WHERE id = $1)`, []any{repo}},
		{`UPDATE registry_sizes SET size = size - (SELECT coalesce(sum(m.size), 0) FROM manifests m WHERE m.repository = $1
			AND NOT EXISTS (SELECT 1 FROM manifests o WHERE o.digest = m.digest AND o.registry = m.registry AND o.repository <> $1))
			WHERE registry = (SELECT registry FROM repositories WHERE id = $1)`, []any{repo}},
	}
}

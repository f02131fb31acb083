package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
)

// DeleteManifest implements registry.Store.
func (s Registry) DeleteManifest(ctx context.Context, name registry.Name, d digest.Digest, now time.Time, keep bool) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		var id int64
		err = s.queryRow(ctx, `SELECT id FROM manifests WHERE repository = $1 AND digest = $2 AND deleted = 0`, repo, d).Scan(&id)
		if err != nil {
			return instead(err, registry.ErrNoManifest)
		}
		tags, err := s.untagAll(ctx, id, now, keep)
		if err != nil {
			return err
		}
		if keep {
			err = s.add(ctx, `UPDATE manifests SET deleted = $2 WHERE id = $1`, id, micros(now))
		} else {
			err = s.dropManifest(ctx, repo, id, now)
		}
		return errors.Join(err, s.count(ctx, repo, -int(tags), -1, time.Time{}))
	})
}

// untagAll takes all tags from a manifest and tells how many there were.
func (s Registry) untagAll(ctx context.Context, manifest int64, now time.Time, keep bool) (int64, error) {
	if keep {
		if err := s.keepTags(ctx, now, `t.manifest = $2`, manifest); err != nil {
			return 0, err
		}
	}
	return s.exec(ctx, `DELETE FROM tags WHERE manifest = $1`, manifest)
}

// keepTags remembers the tags of a condition on t, whose parameters begin with $2, so
// that they can be put back.
func (s Registry) keepTags(ctx context.Context, now time.Time, where string, args ...any) error {
	return s.add(ctx, `INSERT INTO deleted_tags (repository, name, digest, deleted)
		SELECT t.repository, t.name, m.digest, $1 FROM tags t JOIN manifests m ON m.id = t.manifest WHERE `+where+` ON CONFLICT DO NOTHING`,
		append([]any{micros(now)}, args...)...)
}

// dropManifest removes a manifest for good. What it alone named is left to collection.
func (s Registry) dropManifest(ctx context.Context, repo, id int64, now time.Time) error {
	return s.addAll(ctx, append([]statement{
		{`UPDATE repository_blobs SET unused = $3 WHERE repository = $1 AND blob IN (SELECT blob FROM manifest_blobs WHERE manifest = $2) AND NOT EXISTS
			(SELECT 1 FROM manifest_blobs l JOIN manifests m ON m.id = l.manifest WHERE l.blob = repository_blobs.blob AND m.repository = $1 AND m.id <> $2)`, []any{repo, id, micros(now)}},
		{`UPDATE blobs SET loose = 1 WHERE id IN (SELECT blob FROM manifest_blobs WHERE manifest = $1) AND NOT EXISTS (SELECT 1 FROM repository_blobs WHERE blob = blobs.id)`, []any{id}},
		{`UPDATE payloads SET loose = 1 WHERE digest = (SELECT digest FROM manifests WHERE id = $1)`, []any{id}},
		{`DELETE FROM deleted_tags WHERE repository = $1 AND digest = (SELECT digest FROM manifests WHERE id = $2)`, []any{repo, id}},
	}, unwrite(repo, id)...))
}

// DeleteRepository implements registry.Store.
func (s Registry) DeleteRepository(ctx context.Context, name registry.Name, now time.Time, keep bool) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		delete(unitOf(ctx).repositories, name)
		if !keep {
			return s.addAll(ctx, append(shrink(repo), dropRepositories(`SELECT CAST($1 AS BIGINT)`, repo)...))
		}
		if err := s.keepTags(ctx, now, `t.repository = $2`, repo); err != nil {
			return err
		}
		return s.addAll(ctx, []statement{
			{`DELETE FROM tags WHERE repository = $1`, []any{repo}},
			{`UPDATE manifests SET deleted = $2 WHERE repository = $1 AND deleted = 0`, []any{repo, micros(now)}},
			{`UPDATE repositories SET deleted = $2, tag_count = 0, manifest_count = 0 WHERE id = $1`, []any{repo, micros(now)}},
		})
	})
}

// dropRepositories removes for good the repositories whose rows a query selects.
func dropRepositories(which string, args ...any) []statement {
	var all []statement
	for _, query := range []string{
		`UPDATE blobs SET loose = 1 WHERE id IN (SELECT blob FROM repository_blobs WHERE repository IN (` + which + `))`,
		`UPDATE blobs SET loose = 1 WHERE id IN (SELECT l.blob FROM manifest_blobs l JOIN manifests m ON m.id = l.manifest WHERE m.repository IN (` + which + `))`,
		`UPDATE payloads SET loose = 1 WHERE digest IN (SELECT digest FROM manifests WHERE repository IN (` + which + `))`,
		`DELETE FROM repositories WHERE id IN (` + which + `)`,
	} {
		all = append(all, statement{query, args})
	}
	return all
}

var _ registry.Trash = Registry{}

// DeletedRepositories implements registry.Trash.
func (s Registry) DeletedRepositories(ctx context.Context, registryName string, page registry.Page) ([]string, error) {
	return collect(ctx, s.DB, scanText, `SELECT name FROM repositories r WHERE registry = $1 AND name > $2 AND
		(EXISTS (SELECT 1 FROM manifests WHERE repository = r.id AND deleted <> 0) OR EXISTS (SELECT 1 FROM deleted_tags WHERE repository = r.id))
		ORDER BY name LIMIT $3`, registryName, page.Last, limit(page.N))
}

// anyID is the row of a repository, deleted or not.
func (s Registry) anyID(ctx context.Context, name registry.Name) (id int64, err error) {
	err = s.queryRow(ctx, `SELECT id FROM repositories WHERE registry = $1 AND name = $2`, name.Registry, name.Repository).Scan(&id)
	return id, instead(err, registry.ErrNoRepository)
}

// DeletedManifests implements registry.Trash.
func (s Registry) DeletedManifests(ctx context.Context, name registry.Name, page registry.Page) ([]registry.Manifest, error) {
	repo, err := s.anyID(ctx, name)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s.DB, func(r row) (registry.Manifest, error) { return scanManifest(r) },
		`SELECT `+manifestColumns+` FROM manifests m WHERE m.repository = $1 AND m.deleted <> 0 AND m.digest > $2 ORDER BY m.digest LIMIT $3`, repo, page.Last, limit(page.N))
}

// DeletedTags implements registry.Trash.
func (s Registry) DeletedTags(ctx context.Context, name registry.Name, page registry.Page) ([]registry.DeletedTag, error) {
	repo, err := s.anyID(ctx, name)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s.DB, scanDeletedTag, `SELECT name, digest, deleted FROM deleted_tags WHERE repository = $1 AND (name, deleted) > ($2, $3) ORDER BY name, deleted LIMIT $4`,
		repo, page.Last, micros(page.After), limit(page.N))
}

func scanDeletedTag(r row) (t registry.DeletedTag, err error) {
	var deleted int64
	err = r.Scan(&t.Name, &t.Digest, &deleted)
	t.Deleted = fromMicros(deleted)
	return t, err
}

// RestoreManifest implements registry.Trash.
func (s Registry) RestoreManifest(ctx context.Context, name registry.Name, d digest.Digest, now time.Time) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.anyID(ctx, name)
		if err != nil {
			return err
		}
		n, err := s.exec(ctx, `WITH RECURSIVE below (id, digest) AS (
				SELECT id, digest FROM manifests WHERE repository = $1 AND digest = $2
				UNION
				SELECT m.id, m.digest FROM below b JOIN manifest_children c ON c.parent = b.id JOIN manifests m ON m.repository = $1 AND m.digest = c.digest)
			UPDATE manifests SET deleted = 0, untagged = $3 WHERE deleted <> 0 AND id IN (SELECT id FROM below)`, repo, d, micros(now))
		if err != nil {
			return err
		}
		if err := s.add(ctx, `UPDATE repositories SET deleted = 0 WHERE id = $1`, repo); err != nil {
			return err
		}
		if _, err := s.Manifest(ctx, name, d.String()); err != nil {
			return err
		}
		return s.count(ctx, repo, 0, int(n), now)
	})
}

// ForgetTag implements registry.Trash.
func (s Registry) ForgetTag(ctx context.Context, name registry.Name, tag string, d digest.Digest) error {
	return s.add(ctx, `DELETE FROM deleted_tags WHERE repository = (SELECT id FROM repositories WHERE registry = $1 AND name = $2) AND name = $3 AND digest = $4`,
		name.Registry, name.Repository, tag, d)
}

// Expire implements registry.Trash.
func (s Registry) Expire(ctx context.Context, registryName string, before, now time.Time, n int) (gone int64, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		old, err := collect(ctx, s.DB, scanPair, `SELECT m.repository, m.id FROM manifests m JOIN repositories r ON r.id = m.repository
			WHERE r.registry = $1 AND m.deleted <> 0 AND m.deleted < $2 LIMIT $3`, registryName, micros(before), n)
		if err != nil {
			return err
		}
		for _, one := range old {
			if err := s.dropManifest(ctx, one[0], one[1], now); err != nil {
				return err
			}
		}
		gone = int64(len(old))
		return s.addAll(ctx, []statement{
			{`DELETE FROM deleted_tags WHERE deleted < $2 AND repository IN (SELECT id FROM repositories WHERE registry = $1)`, []any{registryName, micros(before)}},
			{`DELETE FROM repositories WHERE registry = $1 AND deleted <> 0 AND deleted < $2 AND NOT EXISTS (SELECT 1 FROM manifests WHERE repository = repositories.id)
				AND NOT EXISTS (SELECT 1 FROM repository_blobs WHERE repository = repositories.id)`, []any{registryName, micros(before)}},
		})
	})
	return gone, err
}

func scanPair(r row) (pair [2]int64, err error) {
	err = r.Scan(&pair[0], &pair[1])
	return pair, err
}

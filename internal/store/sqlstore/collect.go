package sqlstore

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/registry"
	gc "github.com/acrux/acrux/internal/registry/collect"
)

// Collect implements gc.Store.
type Collect struct{ Registry }

var _ gc.Store = Collect{}

// due are links that no manifest of their repository has used since $1.
const due = `FROM repository_blobs l WHERE l.unused <> 0 AND l.unused < $1 AND NOT EXISTS
	(SELECT 1 FROM manifest_blobs b JOIN manifests m ON m.id = b.manifest WHERE b.blob = l.blob AND m.repository = l.repository) `

// Unlink implements gc.Store.
func (s Collect) Unlink(ctx context.Context, before time.Time, n int) (links int64, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		pairs, err := collect(ctx, s.DB, scanPair, `SELECT l.repository, l.blob `+due+`LIMIT $2`, micros(before), n)
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			if err := s.addAll(ctx, unlink(pair[0], pair[1])); err != nil {
				return err
			}
		}
		links = int64(len(pairs))
		return nil
	})
	return links, err
}

// unheld are blobs that neither a repository nor a manifest has.
const unheld = ` loose = 1 AND NOT EXISTS (SELECT 1 FROM repository_blobs WHERE blob = blobs.id) AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob = blobs.id) `

// DropBlobs implements gc.Store.
func (s Collect) DropBlobs(ctx context.Context, n int) (dropped gc.Amount, more bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		loose, err := collect(ctx, s.DB, scanPair, `SELECT id, size FROM blobs WHERE loose = 1 ORDER BY id LIMIT $1`, n)
		if err != nil {
			return err
		}
		more = len(loose) == n
		for _, b := range loose {
			if err := s.add(ctx, `INSERT INTO garbage (storage_key, size) SELECT storage_key, size FROM blobs WHERE id = $1 AND`+unheld+`ON CONFLICT DO NOTHING`, b[0]); err != nil {
				return err
			}
			gone, err := s.exec(ctx, `DELETE FROM blobs WHERE id = $1 AND`+unheld, b[0])
			if err != nil {
				return err
			}
			dropped = dropped.Plus(gc.Amount{Count: gone, Bytes: gone * b[1]})
			if err := s.add(ctx, `UPDATE blobs SET loose = 0 WHERE id = $1`, b[0]); err != nil {
				return err
			}
		}
		return nil
	})
	return dropped, more, err
}

// DropPayloads implements gc.Store.
func (s Collect) DropPayloads(ctx context.Context, n int) (dropped gc.Amount, more bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		loose, err := collect(ctx, s.DB, scanSized, `SELECT digest, length(body) FROM payloads WHERE loose = 1 ORDER BY digest LIMIT $1`, n)
		if err != nil {
			return err
		}
		more = len(loose) == n
		for _, p := range loose {
			gone, err := s.exec(ctx, `DELETE FROM payloads WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM manifests WHERE digest = $1)`, p.Digest)
			if err != nil {
				return err
			}
			dropped = dropped.Plus(gc.Amount{Count: gone, Bytes: gone * p.Size})
			if err := s.add(ctx, `UPDATE payloads SET loose = 0 WHERE digest = $1`, p.Digest); err != nil {
				return err
			}
		}
		return nil
	})
	return dropped, more, err
}

func scanSized(r row) (b registry.Blob, err error) {
	err = r.Scan(&b.Digest, &b.Size)
	return b, err
}

// Plan implements gc.Store.
func (s Collect) Plan(ctx context.Context, before time.Time) (p gc.Report, err error) {
	err = s.queryRow(ctx, `SELECT count(*) `+due, micros(before)).Scan(&p.Links)
	if err != nil {
		return p, err
	}
	err = s.queryRow(ctx, `SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM blobs WHERE (loose = 1 OR id IN (SELECT l.blob `+due+`))
		AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob = blobs.id)
		AND NOT EXISTS (SELECT 1 FROM repository_blobs k WHERE k.blob = blobs.id AND (k.unused = 0 OR k.unused >= $1))`, micros(before)).Scan(&p.Blobs.Count, &p.Blobs.Bytes)
	if err != nil {
		return p, err
	}
	return p, s.queryRow(ctx, `SELECT count(*), CAST(coalesce(sum(length(body)), 0) AS BIGINT) FROM payloads WHERE loose = 1 AND NOT EXISTS (SELECT 1 FROM manifests WHERE digest = payloads.digest)`).
		Scan(&p.Manifests.Count, &p.Manifests.Bytes)
}

// Garbage implements gc.Store.
func (s Collect) Garbage(ctx context.Context, n int) ([]blob.Key, error) {
	return collect(ctx, s.DB, scanKey, `SELECT storage_key FROM garbage ORDER BY storage_key LIMIT $1`, n)
}

func scanKey(r row) (key blob.Key, err error) {
	err = r.Scan(&key)
	return key, err
}

// Forget implements gc.Store.
func (s Collect) Forget(ctx context.Context, key blob.Key) error {
	return s.add(ctx, `DELETE FROM garbage WHERE storage_key = $1`, string(key))
}

// Known implements gc.Store.
func (s Collect) Known(ctx context.Context, key blob.Key) (known bool, err error) {
	var n int
	err = s.queryRow(ctx, `SELECT (SELECT count(*) FROM blobs WHERE storage_key = $1) + (SELECT count(*) FROM uploads WHERE storage_key = $1)`, string(key)).Scan(&n)
	return n > 0, err
}

// Blobs implements gc.Store.
func (s Collect) Blobs(ctx context.Context, after digest.Digest, n int) ([]registry.Blob, error) {
	return collect(ctx, s.DB, func(r row) (b registry.Blob, err error) {
		err = r.Scan(&b.Digest, &b.Size, &b.Key)
		return b, err
	}, `SELECT digest, size, storage_key FROM blobs WHERE digest > $1 ORDER BY digest LIMIT $2`, after, n)
}

// Payloads implements gc.Store.
func (s Collect) Payloads(ctx context.Context, after digest.Digest, n int) ([]registry.Manifest, error) {
	return collect(ctx, s.DB, func(r row) (m registry.Manifest, err error) {
		err = r.Scan(&m.Digest, &m.Body)
		return m, err
	}, `SELECT digest, body FROM payloads WHERE digest > $1 ORDER BY digest LIMIT $2`, after, n)
}

// Images implements gc.Store.
func (s Collect) Images(ctx context.Context, d digest.Digest, n int) ([]gc.Image, error) {
	return collect(ctx, s.DB, scanImage, `SELECT r.registry, r.name, m.digest FROM manifests m JOIN repositories r ON r.id = m.repository WHERE m.digest = $1
		UNION SELECT r.registry, r.name, m.digest FROM manifests m JOIN repositories r ON r.id = m.repository JOIN manifest_blobs l ON l.manifest = m.id JOIN blobs b ON b.id = l.blob WHERE b.digest = $1
		ORDER BY 1, 2, 3 LIMIT $2`, d, n)
}

func scanImage(r row) (i gc.Image, err error) {
	err = r.Scan(&i.Name.Registry, &i.Name.Repository, &i.Digest)
	return i, err
}

// Untagged implements gc.Store.
func (s Collect) Untagged(ctx context.Context, name registry.Name, before time.Time, after digest.Digest, n int) ([]digest.Digest, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s.DB, func(r row) (d digest.Digest, err error) {
		err = r.Scan(&d)
		return d, err
	}, `SELECT digest FROM manifests WHERE repository = $1 AND untagged <> 0 AND untagged < $2 AND deleted = 0 AND digest > $3 ORDER BY digest LIMIT $4`, repo, micros(before), after, n)
}

// Expendable implements gc.Store.
func (s Collect) Expendable(ctx context.Context, name registry.Name, d digest.Digest, g gc.Guard) (bool, error) {
	age := `m.untagged`
	if g.ByPush {
		age = `m.updated`
	}
	var n int
	err := s.queryRow(ctx, `SELECT count(*) FROM manifests m JOIN repositories r ON r.id = m.repository
		WHERE r.registry = $1 AND r.name = $2 AND m.digest = $3 AND r.deleted = 0 AND m.deleted = 0 AND m.untagged <> 0 AND `+age+` < $4
		AND ($5 = 1 OR m.attributes & r.attributes & $6 = $6)
		AND NOT EXISTS (SELECT 1 FROM manifest_children c JOIN manifests p ON p.id = c.parent WHERE c.digest = m.digest AND p.repository = m.repository AND p.deleted = 0)
		AND (m.subject = '' OR NOT EXISTS (SELECT 1 FROM manifests u WHERE u.repository = m.repository AND u.digest = m.subject AND u.deleted = 0))`,
		name.Registry, name.Repository, d, micros(g.Before), bit(g.Locked), registry.DeleteEnabled|registry.WriteEnabled).Scan(&n)
	return n > 0, err
}

// Graph implements gc.Store.
func (s Collect) Graph(ctx context.Context, name registry.Name) (gc.Graph, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return gc.Graph{}, err
	}
	var g gc.Graph
	if g.Nodes, err = collect(ctx, s.DB, scanNode, `SELECT digest, subject, updated, attributes FROM manifests WHERE repository = $1 AND deleted = 0 ORDER BY digest`, repo); err != nil {
		return g, err
	}
	if g.Tags, err = collect(ctx, s.DB, scanTag, selectTag+`WHERE t.repository = $1 ORDER BY t.name`, repo); err != nil {
		return g, err
	}
	g.Edges, err = collect(ctx, s.DB, func(r row) (e gc.Edge, err error) {
		err = r.Scan(&e.Parent, &e.Child)
		return e, err
	}, `SELECT p.digest, c.digest FROM manifest_children c JOIN manifests p ON p.id = c.parent WHERE p.repository = $1 AND p.deleted = 0`, repo)
	return g, err
}

func scanNode(r row) (n gc.Node, err error) {
	var updated int64
	err = r.Scan(&n.Digest, &n.Subject, &updated, &n.Attributes)
	n.Updated = fromMicros(updated)
	return n, err
}

// RepositoryNames implements gc.Store.
func (s Collect) RepositoryNames(ctx context.Context, registryName, after string, n int) ([]string, error) {
	return collect(ctx, s.DB, scanText, `SELECT name FROM repositories WHERE registry = $1 AND name > $2 AND deleted = 0 ORDER BY name LIMIT $3`, registryName, after, n)
}

package sqlstore

import (
	"context"
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
)

const manifestColumns = `m.digest, m.media_type, m.artifact_type, m.config_type, m.subject, m.annotations, m.architecture, m.os,
	m.size, m.image_size, m.created, m.updated, m.attributes, m.deleted, m.pulled, m.pulls`

// scanManifest reads manifestColumns and, where extra is given, what follows them.
func scanManifest(r row, extra ...any) (m registry.Manifest, err error) {
	var annotations string
	var created, updated, deleted, pulled int64
	dest := append([]any{&m.Digest, &m.MediaType, &m.ArtifactType, &m.ConfigType, &m.Subject, &annotations, &m.Architecture, &m.OS,
		&m.Size, &m.ImageSize, &created, &updated, &m.Attributes, &deleted, &pulled, &m.Pulls}, extra...)
	if err := r.Scan(dest...); err != nil {
		return m, err
	}
	m.Created, m.Updated, m.Deleted, m.Pulled = fromMicros(created), fromMicros(updated), fromMicros(deleted), fromMicros(pulled)
	if annotations != "" {
		err = json.Unmarshal([]byte(annotations), &m.Annotations)
	}
	return m, err
}

// Manifest implements registry.Store, with one query for a tag or a digest.
func (s Registry) Manifest(ctx context.Context, name registry.Name, reference string) (registry.Manifest, error) {
	query := `SELECT ` + manifestColumns + `, p.body, m.attributes & r.attributes FROM manifests m JOIN payloads p ON p.digest = m.digest
		JOIN repositories r ON r.id = m.repository WHERE r.registry = $1 AND r.name = $2 AND m.digest = $3 AND m.deleted = 0`
	if digest.Digest(reference).Validate() != nil {
		query = `SELECT ` + manifestColumns + `, p.body, m.attributes & r.attributes & t.attributes FROM tags t JOIN manifests m ON m.id = t.manifest JOIN payloads p ON p.digest = m.digest
			JOIN repositories r ON r.id = t.repository WHERE r.registry = $1 AND r.name = $2 AND t.name = $3`
	}
	var body []byte
	var effective registry.Attributes
	m, err := scanManifest(s.queryRow(ctx, query, name.Registry, name.Repository, reference), &body, &effective)
	m.Body, m.Effective = body, effective
	if err = instead(err, registry.ErrNoManifest); err == registry.ErrNoManifest {
		if _, missing := s.repositoryID(ctx, name); missing != nil {
			err = missing
		}
	}
	return m, err
}

// Manifests implements registry.Store.
func (s Registry) Manifests(ctx context.Context, name registry.Name, q registry.ManifestQuery) ([]registry.Manifest, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return nil, err
	}
	tags := 0 // all
	if q.Tags > 0 {
		tags = q.Tags + 1 // tells whether there are more
	}
	page, args := goOn(q.Order, q.After, `m.updated`, `m.digest`, `$2`, []any{repo, q.Last, limit(q.N), bit(q.Hidden), registry.ListEnabled, limit(tags)})
	return collect(ctx, s.DB, func(r row) (registry.Manifest, error) { return scanTagged(r, q.Tags) }, `SELECT `+manifestColumns+`,
		(SELECT json_group_array(name) FROM (SELECT name FROM tags WHERE manifest = m.id AND ($4 = 1 OR attributes & $5 <> 0) ORDER BY name LIMIT $6) AS first)
		FROM manifests m WHERE m.repository = $1 AND m.deleted = 0 AND ($4 = 1 OR m.attributes & $5 <> 0) AND `+page+` LIMIT $3`, args...)
}

// scanTagged reads a manifest with the names of its tags, of which it keeps n; 0 keeps all.
func scanTagged(r row, n int) (registry.Manifest, error) {
	var tags string
	m, err := scanManifest(r, &tags)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(tags), &m.Tags); err != nil {
		return m, err
	}
	if m.MoreTags = n > 0 && len(m.Tags) > n; m.MoreTags {
		m.Tags = m.Tags[:n]
	}
	return m, nil
}

// Referrers implements registry.Store.
func (s Registry) Referrers(ctx context.Context, name registry.Name, q registry.ReferrerQuery) ([]registry.Manifest, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return nil, err
	}
	args, only := []any{repo, q.Subject, registry.ListEnabled, q.Last, limit(q.N)}, ``
	if q.ArtifactType != "" {
		args, only = append(args, q.ArtifactType), ` AND m.artifact_type = $6`
	}
	return collect(ctx, s.DB, func(r row) (registry.Manifest, error) { return scanManifest(r) },
		`SELECT `+manifestColumns+` FROM manifests m WHERE m.repository = $1 AND m.subject = $2 AND m.subject <> '' AND m.deleted = 0 AND m.attributes & $3 <> 0
		AND m.digest > $4`+only+` ORDER BY m.digest LIMIT $5`, args...)
}

// PutManifest implements registry.Store. Nothing is read by it: on PostgreSQL all of its
// statements go to the database at once.
func (s Registry) PutManifest(ctx context.Context, name registry.Name, m registry.Manifest) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		annotations := ""
		if len(m.Annotations) > 0 {
			text, err := json.Marshal(m.Annotations)
			if err != nil {
				return err
			}
			annotations = string(text)
		}
		return s.addAll(ctx, append([]statement{
			{countManifest, []any{repo, m.Digest, m.Size, micros(m.Updated)}},
			{countManifestOnce, []any{name.Registry, m.Digest, m.Size}},
			{`INSERT INTO payloads (digest, body) VALUES ($1, $2) ON CONFLICT DO NOTHING`, []any{m.Digest, m.Body}},
			{insertManifest, []any{repo, m.Digest, m.MediaType, m.ArtifactType, m.ConfigType, m.Subject, annotations,
				m.Architecture, m.OS, m.Size, m.ImageSize, micros(m.Created), micros(m.Updated), m.Attributes, name.Registry}},
		}, linkManifest(repo, m)...))
	})
}

const (
	// What these two count is not there yet.
	countManifest = `UPDATE repositories SET updated = $4,
		manifest_count = manifest_count + CASE WHEN EXISTS (SELECT 1 FROM manifests WHERE repository = $1 AND digest = $2 AND deleted = 0) THEN 0 ELSE 1 END,
		size = size + CASE WHEN EXISTS (SELECT 1 FROM manifests WHERE repository = $1 AND digest = $2) THEN 0 ELSE CAST($3 AS BIGINT) END
		WHERE id = $1`
	countManifestOnce = `INSERT INTO registry_sizes (registry, size) SELECT CAST($1 AS TEXT), CAST($3 AS BIGINT)
		WHERE NOT EXISTS (SELECT 1 FROM manifests WHERE digest = $2 AND registry = $1)
		ON CONFLICT (registry) DO UPDATE SET size = registry_sizes.size + excluded.size`
	insertManifest = `INSERT INTO manifests (repository, digest, media_type, artifact_type, config_type, subject, annotations,
		architecture, os, size, image_size, created, updated, attributes, untagged, registry)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $13, $15)
		ON CONFLICT (repository, digest) DO UPDATE SET updated = excluded.updated, deleted = 0,
			untagged = CASE WHEN manifests.untagged = 0 THEN 0 ELSE excluded.updated END`
	manifestID = `(SELECT id FROM manifests WHERE repository = $1 AND digest = $2)`
)

func linkManifest(repo int64, m registry.Manifest) (all []statement) {
	for _, d := range m.Blobs {
		all = append(all, statement{`INSERT INTO manifest_blobs (manifest, blob) SELECT ` + manifestID + `, id FROM blobs WHERE digest = $3
			ON CONFLICT DO NOTHING`, []any{repo, m.Digest, d}})
	}
	for _, d := range m.Children {
		all = append(all, statement{`INSERT INTO manifest_children (parent, digest) SELECT ` + manifestID + `, CAST($3 AS TEXT) WHERE true
			ON CONFLICT DO NOTHING`, []any{repo, m.Digest, d}})
	}
	return append(all, statement{`UPDATE repository_blobs SET unused = 0 WHERE repository = $1 AND unused <> 0
		AND blob IN (SELECT blob FROM manifest_blobs WHERE manifest = ` + manifestID + `)`, []any{repo, m.Digest}})
}

const selectUpload = `SELECT id, registry, repository, storage_key, size, hash_state, parts, expires, version FROM uploads `

func scanUpload(r row) (u registry.Upload, err error) {
	var expires int64
	err = r.Scan(&u.ID, &u.Name.Registry, &u.Name.Repository, &u.State.Key, &u.State.Size, &u.State.Hash, &u.State.Parts, &expires, &u.Version)
	u.Expires = fromMicros(expires)
	return u, err
}

// Upload implements registry.Store.
func (s Registry) Upload(ctx context.Context, id string) (registry.Upload, error) {
	u, err := scanUpload(s.queryRow(ctx, selectUpload+`WHERE id = $1`, id))
	return u, instead(err, registry.ErrNoUpload)
}

// PutUpload implements registry.Store.
func (s Registry) PutUpload(ctx context.Context, u registry.Upload) error {
	return s.need(briefly(ctx), registry.ErrUploadMoved, `INSERT INTO uploads (id, registry, repository, storage_key, size, hash_state, expires, version, parts)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET size = excluded.size, hash_state = excluded.hash_state, parts = excluded.parts, expires = excluded.expires, version = excluded.version
		WHERE uploads.version = excluded.version - 1`,
		u.ID, u.Name.Registry, u.Name.Repository, u.State.Key, u.State.Size, u.State.Hash, micros(u.Expires), u.Version, u.State.Parts)
}

// DeleteUpload implements registry.Store.
func (s Registry) DeleteUpload(ctx context.Context, id string) error {
	return s.need(ctx, registry.ErrNoUpload, `DELETE FROM uploads WHERE id = $1`, id)
}

// BegunUploads implements registry.Store.
func (s Registry) BegunUploads(ctx context.Context, registry string) (n int, bytes int64, err error) {
	err = s.queryRow(ctx, `SELECT count(*), coalesce(sum(size), 0) FROM uploads WHERE registry = $1`, registry).Scan(&n, &bytes)
	return n, bytes, err
}

// ExpiredUploads implements registry.Store.
func (s Registry) ExpiredUploads(ctx context.Context, now time.Time) ([]registry.Upload, error) {
	return collect(ctx, s.DB, scanUpload, selectUpload+`WHERE expires < $1`, micros(now))
}

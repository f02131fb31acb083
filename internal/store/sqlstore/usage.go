package sqlstore

import (
	"context"
	"time"

	gc "github.com/acrux/acrux/internal/registry/collect"
)

// restorable are blobs that only deleted manifests have: those that go with them.
const restorable = `SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM blobs WHERE id IN
	(SELECT l.blob FROM manifest_blobs l JOIN manifests m ON m.id = l.manifest WHERE m.deleted <> 0) AND NOT EXISTS
	(SELECT 1 FROM manifest_blobs l JOIN manifests m ON m.id = l.manifest WHERE l.blob = blobs.id AND m.deleted = 0)`

// Usage implements gc.Store. It reads rows and no content.
func (s Collect) Usage(ctx context.Context, now time.Time) (u gc.Usage, err error) {
	u.Registries, err = collect(ctx, s.DB, func(r row) (size gc.RegistrySize, err error) {
		err = r.Scan(&size.Registry, &size.Bytes)
		return size, err
	}, `SELECT registry, size FROM registry_sizes WHERE size > 0 ORDER BY size DESC, registry`)
	if err != nil {
		return u, err
	}
	for _, ask := range []struct {
		to    *gc.Amount
		query string
	}{
		{&u.Blobs, `SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM blobs`},
		{&u.Garbage, `SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM garbage`},
		{&u.Uploads, `SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM uploads`},
		{&u.Restorable, restorable},
	} {
		if err := s.queryRow(ctx, ask.query).Scan(&ask.to.Count, &ask.to.Bytes); err != nil {
			return u, err
		}
	}
	plan, err := s.Plan(ctx, now.Add(-gc.Grace))
	u.Unneeded = plan.Blobs
	return u, err
}

// PostgresBytes is how large a PostgreSQL database is.
func (db *DB) PostgresBytes(ctx context.Context) (bytes int64, err error) {
	return bytes, db.queryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&bytes)
}

-- +goose Up

-- Manifests listed by time, and what contains a manifest.
CREATE INDEX manifests_by_time ON manifests (repository, updated, digest);
CREATE INDEX manifest_children_by_digest ON manifest_children (digest);

-- +goose Up

-- Since when no manifest of the repository names the blob; 0 while one does.
ALTER TABLE repository_blobs ADD COLUMN unused INTEGER NOT NULL DEFAULT 0;
UPDATE repository_blobs SET unused = created WHERE NOT EXISTS
    (SELECT 1 FROM manifest_blobs l JOIN manifests m ON m.id = l.manifest WHERE l.blob = repository_blobs.blob AND m.repository = repository_blobs.repository);
CREATE INDEX repository_blobs_unused ON repository_blobs (unused) WHERE unused <> 0;

-- 1 where a link or a manifest went away and perhaps it was the last: collection looks.
ALTER TABLE blobs ADD COLUMN loose INTEGER NOT NULL DEFAULT 0;
UPDATE blobs SET loose = 1 WHERE NOT EXISTS (SELECT 1 FROM repository_blobs WHERE blob = blobs.id);
CREATE INDEX blobs_loose ON blobs (id) WHERE loose = 1;
CREATE INDEX blobs_by_key ON blobs (storage_key);
ALTER TABLE payloads ADD COLUMN loose INTEGER NOT NULL DEFAULT 0;
CREATE INDEX manifests_by_digest ON manifests (digest);
UPDATE payloads SET loose = 1 WHERE NOT EXISTS (SELECT 1 FROM manifests WHERE digest = payloads.digest);
CREATE INDEX payloads_loose ON payloads (digest) WHERE loose = 1;

-- Content that no row names any more and that is still to be deleted from the store.
CREATE TABLE garbage (
    storage_key TEXT PRIMARY KEY,
    size        INTEGER NOT NULL
) STRICT;

-- When a manifest was deleted, while it can be restored, and since when it has no tag;
-- 0 is never. The same for repositories: one that was deleted is not there.
ALTER TABLE manifests ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE manifests ADD COLUMN untagged INTEGER NOT NULL DEFAULT 0;
UPDATE manifests SET untagged = updated WHERE NOT EXISTS (SELECT 1 FROM tags WHERE manifest = manifests.id);
CREATE INDEX manifests_deleted ON manifests (repository, deleted) WHERE deleted <> 0;
CREATE INDEX manifests_untagged ON manifests (repository, untagged) WHERE untagged <> 0;
ALTER TABLE repositories ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
CREATE TABLE deleted_tags (
    repository INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    deleted    INTEGER NOT NULL,
    PRIMARY KEY (repository, name, deleted)
) STRICT, WITHOUT ROWID;

-- When it was last pulled, 0 if never, and how often.
ALTER TABLE manifests ADD COLUMN pulled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE manifests ADD COLUMN pulls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tags ADD COLUMN pulled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tags ADD COLUMN pulls INTEGER NOT NULL DEFAULT 0;

-- How many times it happened, and up to where each reader of the events has come.
ALTER TABLE events ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
CREATE TABLE event_readers (
    name  TEXT PRIMARY KEY,
    event INTEGER NOT NULL
) STRICT;

-- +goose Up

-- By what documents are found besides their place: name, location, tags, identities. The
-- next migration writes those of the documents that there are.
CREATE TABLE document_terms (
    kind TEXT NOT NULL,
    term TEXT NOT NULL,
    key  TEXT NOT NULL REFERENCES documents (key) ON DELETE CASCADE,
    PRIMARY KEY (kind, term, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_terms_by_key ON document_terms (key, term);

-- How many documents of a kind have a parent, by the keys of the parents' IDs.
CREATE TABLE document_counts (
    parent TEXT NOT NULL,
    kind   TEXT NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (parent, kind)
) STRICT, WITHOUT ROWID;

-- The tags that documents have, and how many have each. name is in lower case, spelling is
-- how the first document had it.
CREATE TABLE tag_counts (
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    spelling TEXT NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (name, value)
) STRICT, WITHOUT ROWID;

-- Assignments are listed by scope and name, also those of one principal.
DROP INDEX role_assignments_by_principal;
CREATE INDEX role_assignments_of_principal ON role_assignments (principal_id, scope, name);

-- What the content of a repository and of a registry takes, in bytes: a repository's blobs
-- and manifests, and those of a registry, each once. The registry stands in both so that
-- it is found whether another of its repositories has the same.
ALTER TABLE repositories ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repository_blobs ADD COLUMN registry TEXT NOT NULL DEFAULT '';
UPDATE repository_blobs SET registry = (SELECT registry FROM repositories WHERE id = repository_blobs.repository);
DROP INDEX repository_blobs_by_blob;
CREATE INDEX repository_blobs_of_registry ON repository_blobs (blob, registry);
ALTER TABLE manifests ADD COLUMN registry TEXT NOT NULL DEFAULT '';
UPDATE manifests SET registry = (SELECT registry FROM repositories WHERE id = manifests.repository);
DROP INDEX manifests_by_digest;
CREATE INDEX manifests_of_registry ON manifests (digest, registry);
CREATE TABLE registry_sizes (
    registry TEXT PRIMARY KEY,
    size     INTEGER NOT NULL
) STRICT;
UPDATE repositories SET size =
    (SELECT coalesce(sum(b.size), 0) FROM blobs b JOIN repository_blobs l ON l.blob = b.id WHERE l.repository = repositories.id) +
    (SELECT coalesce(sum(m.size), 0) FROM manifests m WHERE m.repository = repositories.id);
INSERT INTO registry_sizes (registry, size)
    SELECT registry, sum(size) FROM (
        SELECT l.registry, b.size FROM (SELECT DISTINCT registry, blob FROM repository_blobs) AS l JOIN blobs b ON b.id = l.blob
        UNION ALL
        SELECT registry, size FROM (SELECT DISTINCT registry, digest, size FROM manifests) AS m
    ) AS held GROUP BY registry;

-- Tags of a manifest by name, and referrers of a type.
DROP INDEX tags_by_manifest;
CREATE INDEX tags_of_manifest ON tags (manifest, name);
CREATE INDEX manifests_by_artifact_type ON manifests (repository, subject, artifact_type, digest) WHERE subject <> '';

-- Runs by what they are asked for with. The outputs are REPOSITORY@DIGEST.
DROP INDEX runs_by_task;
CREATE INDEX runs_of_task ON runs (task, number);
CREATE INDEX runs_of_task_by_status ON runs (task, status, number);
CREATE INDEX runs_by_status ON runs (registry, status, number);
CREATE TABLE run_outputs (
    registry TEXT NOT NULL,
    output   TEXT NOT NULL,
    number   INTEGER NOT NULL,
    PRIMARY KEY (registry, output, number),
    FOREIGN KEY (registry, number) REFERENCES runs (registry, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX run_outputs_of_run ON run_outputs (registry, number);

-- Objects of the directory by display name, in lower case. The next migration writes it.
ALTER TABLE principals ADD COLUMN sort_name TEXT NOT NULL DEFAULT '';
CREATE INDEX principals_people ON principals (sort_name, object_id) WHERE kind = 'User';
CREATE INDEX principals_services ON principals (sort_name, object_id) WHERE kind <> 'User';
ALTER TABLE applications ADD COLUMN sort_name TEXT NOT NULL DEFAULT '';
CREATE INDEX applications_by_name ON applications (sort_name, object_id);
CREATE INDEX applications_by_owner ON applications (owner, sort_name, object_id);

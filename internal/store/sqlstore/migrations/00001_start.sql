-- +goose Up

-- Settings of the installation that are made once: tenant, subscription.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Keys of the installation, sealed with the master key of the data directory.
CREATE TABLE signing_keys (
    id      TEXT PRIMARY KEY,
    sealed  BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT;

-- Resources of the control plane: one JSON document each. key is the ID in lower case.
CREATE TABLE documents (
    key  TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    etag TEXT NOT NULL
) STRICT;
CREATE INDEX documents_by_kind ON documents (kind, key);

-- Other names of documents, each unique among its kind: a registry's name, a client ID.
CREATE TABLE document_keys (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    key   TEXT NOT NULL REFERENCES documents (key) ON DELETE CASCADE,
    PRIMARY KEY (kind, name, value)
) STRICT;
CREATE INDEX document_keys_by_key ON document_keys (key);

-- Secrets that belong to a resource; they are never part of its document.
CREATE TABLE secrets (
    resource TEXT NOT NULL,
    name     TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (resource, name)
) STRICT;

-- Who can act: applications and managed identities. resource is the ID of the
-- resource a managed identity belongs to, resource_key the same in lower case.
CREATE TABLE principals (
    object_id    TEXT PRIMARY KEY,
    app_id       TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    display_name TEXT NOT NULL,
    resource     TEXT NOT NULL DEFAULT '',
    resource_key TEXT NOT NULL DEFAULT '',
    secret_hash  TEXT NOT NULL DEFAULT '',
    created      INTEGER NOT NULL
) STRICT;
CREATE INDEX principals_by_resource ON principals (resource_key);

CREATE TABLE role_assignments (
    scope          TEXT NOT NULL, -- key of the ID
    name           TEXT NOT NULL,
    scope_id       TEXT NOT NULL, -- the ID as spelled
    principal_id   TEXT NOT NULL,
    principal_type TEXT NOT NULL,
    role_id        TEXT NOT NULL,
    description    TEXT NOT NULL DEFAULT '',
    created        INTEGER NOT NULL,
    created_by     TEXT NOT NULL,
    PRIMARY KEY (scope, name),
    UNIQUE (scope, principal_id, role_id)
) STRICT;
CREATE INDEX role_assignments_by_principal ON role_assignments (principal_id);

-- The registry. registry is the registry's name in lower case, unique in the installation.
CREATE TABLE repositories (
    id             INTEGER PRIMARY KEY,
    registry       TEXT NOT NULL,
    name           TEXT NOT NULL,
    created        INTEGER NOT NULL,
    updated        INTEGER NOT NULL,
    attributes     INTEGER NOT NULL DEFAULT 15,
    tag_count      INTEGER NOT NULL DEFAULT 0,
    manifest_count INTEGER NOT NULL DEFAULT 0,
    UNIQUE (registry, name)
) STRICT;

-- Blobs are global and found by digest; who may read one is decided by its links.
CREATE TABLE blobs (
    id          INTEGER PRIMARY KEY,
    digest      TEXT NOT NULL UNIQUE,
    size        INTEGER NOT NULL,
    storage_key TEXT NOT NULL,
    created     INTEGER NOT NULL
) STRICT;
CREATE TABLE repository_blobs (
    repository INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    blob       INTEGER NOT NULL REFERENCES blobs (id),
    created    INTEGER NOT NULL,
    PRIMARY KEY (repository, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blobs_by_blob ON repository_blobs (blob);

-- The bytes of manifests, global like blobs.
CREATE TABLE payloads (
    digest TEXT PRIMARY KEY,
    body   BLOB NOT NULL
) STRICT;
CREATE TABLE manifests (
    id            INTEGER PRIMARY KEY,
    repository    INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT NOT NULL,
    media_type    TEXT NOT NULL,
    artifact_type TEXT NOT NULL DEFAULT '',
    config_type   TEXT NOT NULL DEFAULT '',
    subject       TEXT NOT NULL DEFAULT '',
    annotations   TEXT NOT NULL DEFAULT '',
    architecture  TEXT NOT NULL DEFAULT '',
    os            TEXT NOT NULL DEFAULT '',
    size          INTEGER NOT NULL,
    image_size    INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    attributes    INTEGER NOT NULL DEFAULT 15,
    UNIQUE (repository, digest)
) STRICT;
CREATE INDEX manifests_by_subject ON manifests (repository, subject, digest) WHERE subject <> '';
CREATE TABLE manifest_blobs (
    manifest INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    blob     INTEGER NOT NULL REFERENCES blobs (id),
    PRIMARY KEY (manifest, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (blob);
CREATE TABLE manifest_children (
    parent INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (parent, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE tags (
    repository INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    manifest   INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    attributes INTEGER NOT NULL DEFAULT 15,
    PRIMARY KEY (repository, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_time ON tags (repository, updated, name);
CREATE INDEX tags_by_manifest ON tags (manifest);
CREATE TABLE uploads (
    id          TEXT PRIMARY KEY,
    registry    TEXT NOT NULL,
    repository  TEXT NOT NULL,
    storage_key TEXT NOT NULL,
    size        INTEGER NOT NULL,
    hash_state  BLOB NOT NULL,
    expires     INTEGER NOT NULL,
    version     INTEGER NOT NULL
) STRICT;

-- What happened in a registry, written in the transaction of the change; triggers
-- and webhooks read it with a cursor.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY,
    registry   TEXT NOT NULL,
    action     TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL DEFAULT '',
    digest     TEXT NOT NULL DEFAULT '',
    actor      TEXT NOT NULL DEFAULT '',
    created    INTEGER NOT NULL
) STRICT;

-- Runs. A run is held by an agent while lease_until lies in the future; fence grows
-- with every lease. job is sealed: it holds credentials.
CREATE TABLE run_counters (
    registry TEXT PRIMARY KEY,
    prefix   TEXT NOT NULL,
    last     INTEGER NOT NULL
) STRICT;
CREATE TABLE runs (
    registry    TEXT NOT NULL, -- key of the registry's ID
    number      INTEGER NOT NULL,
    run_id      TEXT NOT NULL,
    task        TEXT NOT NULL DEFAULT '', -- key of the task's ID
    status      TEXT NOT NULL,
    pool        TEXT NOT NULL DEFAULT '',
    os          TEXT NOT NULL,
    arch        TEXT NOT NULL,
    body        TEXT NOT NULL, -- JSON: what the API shows
    job         BLOB,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    started     INTEGER NOT NULL DEFAULT 0,
    finished    INTEGER NOT NULL DEFAULT 0,
    agent       TEXT NOT NULL DEFAULT '',
    fence       INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    cancel      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (registry, number),
    UNIQUE (registry, run_id),
    CHECK ((finished > 0) = (status IN ('Succeeded', 'Failed', 'Canceled', 'Timeout', 'Error')))
) STRICT;
CREATE INDEX runs_queued ON runs (created) WHERE status = 'Queued';
CREATE INDEX runs_leased ON runs (lease_until) WHERE status IN ('Started', 'Running');
CREATE INDEX runs_by_task ON runs (task);

-- Long-running operations of the control plane: imports.
CREATE TABLE operations (
    id          TEXT PRIMARY KEY,
    resource    TEXT NOT NULL, -- key of the registry's ID
    resource_id TEXT NOT NULL,
    request     BLOB,          -- sealed: it may hold credentials; gone when it is over
    status      TEXT NOT NULL,
    progress    TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    message     TEXT NOT NULL DEFAULT '',
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL
) STRICT;
CREATE INDEX operations_open ON operations (created) WHERE status = 'InProgress';

-- +goose Up

-- Applications: what is registered so that a program can sign in. An application has at
-- most one service principal, the principal with the same app_id.
CREATE TABLE applications (
    object_id    TEXT PRIMARY KEY,
    app_id       TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    owner        TEXT NOT NULL DEFAULT '', -- object ID of who registered it
    created      INTEGER NOT NULL
) STRICT;
-- SQLite only
INSERT INTO applications (object_id, app_id, display_name, created)
    SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
        app_id, display_name, created FROM principals WHERE kind = 'Application';
-- end

-- What applications prove themselves with. Of a secret there is a salted hash, of a
-- certificate the whole (DER); ends is 0 if it never does.
CREATE TABLE credentials (
    key_id       TEXT PRIMARY KEY,
    app_id       TEXT NOT NULL REFERENCES applications (app_id) ON DELETE CASCADE,
    kind         TEXT NOT NULL,
    display_name TEXT NOT NULL DEFAULT '',
    hint         TEXT NOT NULL DEFAULT '',
    hash         TEXT NOT NULL DEFAULT '',
    certificate  BLOB,
    starts       INTEGER NOT NULL,
    ends         INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX credentials_by_app ON credentials (app_id);
-- SQLite only
INSERT INTO credentials (key_id, app_id, kind, hash, starts)
    SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
        app_id, 'Secret', secret_hash, created FROM principals WHERE secret_hash <> '';
-- end

-- Whose tokens stand in for a secret of an application. Those of managed identities are
-- documents. audiences is a JSON list.
CREATE TABLE federated_credentials (
    id          TEXT PRIMARY KEY,
    app_id      TEXT NOT NULL REFERENCES applications (app_id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    audiences   TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    UNIQUE (app_id, name),
    UNIQUE (app_id, issuer, subject)
) STRICT;

-- Principals: users have a name and a password (argon2id) and no app_id.
CREATE TABLE principals_with_users (
    object_id     TEXT PRIMARY KEY,
    app_id        TEXT UNIQUE,
    user_name     TEXT UNIQUE, -- in lower case
    kind          TEXT NOT NULL,
    display_name  TEXT NOT NULL,
    resource      TEXT NOT NULL DEFAULT '',
    resource_key  TEXT NOT NULL DEFAULT '',
    disabled      INTEGER NOT NULL DEFAULT 0,
    password_hash TEXT NOT NULL DEFAULT '',
    created       INTEGER NOT NULL
) STRICT;
INSERT INTO principals_with_users (object_id, app_id, kind, display_name, resource, resource_key, created)
    SELECT object_id, app_id, kind, display_name, resource, resource_key, created FROM principals;
DROP TABLE principals;
ALTER TABLE principals_with_users RENAME TO principals;
CREATE INDEX principals_by_resource ON principals (resource_key);

-- Sign-in. Tokens and codes are 256 random bits, kept as SHA-256.
CREATE TABLE refresh_tokens (
    hash      TEXT PRIMARY KEY,
    object_id TEXT NOT NULL REFERENCES principals (object_id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    expires   INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_tokens_by_principal ON refresh_tokens (object_id, expires);

-- object_id is who let the device in, and empty until someone did.
CREATE TABLE device_codes (
    hash      TEXT PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL,
    scope     TEXT NOT NULL,
    object_id TEXT NOT NULL DEFAULT '',
    expires   INTEGER NOT NULL
) STRICT;

-- Assertions that were used, until they expire anyway.
CREATE TABLE used_assertions (
    hash    TEXT PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT;

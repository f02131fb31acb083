-- +goose Up

-- Source triggers of tasks. id is in the address of their hook, and is not to be guessed; name is
-- in lower case.
CREATE TABLE task_sources (
    id       TEXT NOT NULL PRIMARY KEY,
    task     TEXT NOT NULL REFERENCES documents (key) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    spelling TEXT NOT NULL,
    task_id  TEXT NOT NULL,
    UNIQUE (task, name)
) STRICT, WITHOUT ROWID;

-- Deliveries that were taken: none is taken twice.
CREATE TABLE source_deliveries (
    source   TEXT NOT NULL REFERENCES task_sources (id) ON DELETE CASCADE,
    digest   TEXT NOT NULL, -- of what the secret vouches for
    delivery TEXT NOT NULL, -- as the host calls it
    created  INTEGER NOT NULL,
    PRIMARY KEY (source, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX source_deliveries_by_time ON source_deliveries (created);

-- +goose Up

-- Timers of tasks, and when they are due; 0 of those that were not planned yet. name is in
-- lower case.
CREATE TABLE task_timers (
    task     TEXT NOT NULL REFERENCES documents (key) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    spelling TEXT NOT NULL,
    id       TEXT NOT NULL, -- of the task
    schedule TEXT NOT NULL,
    due      INTEGER NOT NULL,
    PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_timers_due ON task_timers (due);

-- Images that tasks were built on. built is the digest that the last good run found, seen the
-- one for which the task was started last.
CREATE TABLE task_bases (
    task  TEXT NOT NULL REFERENCES documents (key) ON DELETE CASCADE,
    image TEXT NOT NULL, -- HOST/REPOSITORY:TAG
    kind  TEXT NOT NULL,
    id    TEXT NOT NULL, -- of the task
    built TEXT NOT NULL,
    seen  TEXT NOT NULL,
    PRIMARY KEY (task, image, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_bases_of_image ON task_bases (image);

-- What triggers saw and what came of it, one row for each cause.
CREATE TABLE trigger_entries (
    id      INTEGER PRIMARY KEY,
    task    TEXT NOT NULL REFERENCES documents (key) ON DELETE CASCADE,
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL, -- of the trigger
    cause   TEXT NOT NULL,
    object  TEXT NOT NULL,
    run     TEXT NOT NULL,
    reason  TEXT NOT NULL,
    times   INTEGER NOT NULL,
    created INTEGER NOT NULL, -- of the last time
    UNIQUE (task, kind, name, cause)
) STRICT;
CREATE INDEX trigger_entries_of_task ON trigger_entries (task, id);
CREATE INDEX trigger_entries_by_time ON trigger_entries (created);

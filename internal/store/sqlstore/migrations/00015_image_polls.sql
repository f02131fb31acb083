-- +goose Up

-- Images that tasks were built on in registries elsewhere, and when these are asked next what
-- the image's tag means.
CREATE TABLE image_polls (
    image    TEXT PRIMARY KEY, -- as in task_bases
    due      INTEGER NOT NULL,
    failures INTEGER NOT NULL  -- in a row
) STRICT, WITHOUT ROWID;
CREATE INDEX image_polls_due ON image_polls (due);

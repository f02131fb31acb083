-- +goose Up

-- Runs go some time after their end, unless they are kept for good.
ALTER TABLE runs ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET archived = 1 WHERE body LIKE '%"isArchiveEnabled":true%';
CREATE INDEX runs_going ON runs (finished) WHERE finished > 0 AND archived = 0;
CREATE INDEX runs_archived ON runs (finished) WHERE archived = 1;

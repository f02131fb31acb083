-- +goose Up

-- What an object store must know to go on with an upload: a multipart upload, its parts.
ALTER TABLE uploads ADD COLUMN parts TEXT NOT NULL DEFAULT '';

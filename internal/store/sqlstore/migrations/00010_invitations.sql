-- +goose Up

-- Invitations, by which a user chooses the first password: 256 random bits, kept as
-- SHA-256. A user has at most one.
CREATE TABLE invitations (
    object_id TEXT PRIMARY KEY REFERENCES principals (object_id) ON DELETE CASCADE,
    hash      TEXT NOT NULL UNIQUE,
    expires   INTEGER NOT NULL
) STRICT;

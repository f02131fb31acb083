-- +goose Up

-- How often everything but the content of registries has changed, in one row: whoever
-- changes it says so in the same transaction, and servers ask before they believe what they
-- remember.
CREATE TABLE generation (n BIGINT NOT NULL);
INSERT INTO generation (n) VALUES (1);

-- +goose Up

-- The functions of SQLite's that our statements use and PostgreSQL does not have, as far
-- as they use them. A path is $.member.member.
CREATE FUNCTION json_each(document TEXT, path TEXT) RETURNS TABLE (value TEXT) LANGUAGE SQL IMMUTABLE AS
    'SELECT e.value::text FROM (SELECT document::json #> string_to_array(substr(path, 3), ''.'') AS list) AS d,
        json_array_elements(CASE json_typeof(d.list) WHEN ''array'' THEN d.list END) AS e (value)';
CREATE FUNCTION json_extract(document TEXT, path TEXT) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS
    'SELECT document::json #>> string_to_array(substr(path, 3), ''.'')';
CREATE FUNCTION json_of_array(elements TEXT[]) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS
    'SELECT to_json(elements)::text';
CREATE AGGREGATE json_group_array(TEXT) (SFUNC = array_append, STYPE = TEXT[], INITCOND = '{}', FINALFUNC = json_of_array);

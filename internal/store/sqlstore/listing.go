package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
)

// interval are the keys from one up to, and without, another.
type interval struct{ from, to string }

// at is the interval that has one key alone: no key goes on with a blank or what sorts
// before it.
func at(key string) interval { return interval{key, behind(key)} }

// behind is a text between a key and the next one that there may be.
func behind(key string) string { return key + " " }

// under is the interval of what lies below an ID.
func under(id arm.ID) interval {
	if id.IsRoot() {
		return interval{behind("/"), "0"}
	}
	from, to := below(id.Key())
	return interval{from, to}
}

// rest is what of the interval comes after a key; ok is false if nothing does.
func (i interval) rest(after string) (_ interval, ok bool) {
	if after != "" {
		i.from = max(i.from, behind(after))
	}
	return i, i.from < i.to
}

// intervals are where the documents of a query are, in the order of keys.
func intervals(q resource.Query) []interval {
	if q.Only == nil {
		return []interval{under(q.Scope)}
	}
	var all []interval
	for _, id := range q.Only {
		switch {
		case id.Contains(q.Scope):
			return []interval{under(q.Scope)}
		case !q.Scope.Contains(id):
			continue
		}
		if depth := depthOf(q.Kind); depth == 0 || depth == depthOfID(id) {
			all = append(all, at(id.Key()))
		}
		if depth := depthOf(q.Kind); depth == 0 || depth > depthOfID(id) {
			all = append(all, under(id))
		}
	}
	slices.SortFunc(all, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	return all
}

// depthOf is how deep resources of a kind lie; 0 for all kinds.
func depthOf(k arm.Kind) int {
	switch {
	case k.Namespace == "":
		return 0
	case k.Key() == resource.Groups.Key():
		return depthOfID(arm.ID{Subscription: "s", Group: "g"})
	}
	return depthOfID(arm.ID{Subscription: "s", Group: "g", Names: k.Types})
}

func depthOfID(id arm.ID) int {
	depth := len(id.Names)
	if id.Subscription != "" {
		depth++
	}
	if id.Group != "" {
		depth++
	}
	return depth
}

// List implements resource.Store.
func (s Documents) List(ctx context.Context, q resource.Query) ([]resource.Document, error) {
	if len(q.Terms) > 0 && q.Kind.Namespace == "" {
		return nil, errors.New("documents of all kinds are not found by terms")
	}
	var all []resource.Document
	for _, in := range intervals(q) {
		in, ok := in.rest(q.After)
		if !ok {
			continue
		}
		query, args := selectWithin(q, in, q.N-len(all))
		docs, err := collect(ctx, s.DB, scanDocument, query, args...)
		if err != nil {
			return nil, err
		}
		if all = append(all, docs...); q.N > 0 && len(all) >= q.N {
			break
		}
	}
	return all, nil
}

// selectWithin is the query for up to n documents of an interval. It goes along one index
// whatever the query selects by.
func selectWithin(q resource.Query, in interval, n int) (string, []any) {
	args := []any{in.from, in.to, limit(n)}
	if q.Kind.Namespace == "" {
		return selectDocument + `WHERE d.key >= $1 AND d.key < $2 ORDER BY d.key LIMIT $3`, args
	}
	args = append(args, q.Kind.Key())
	if len(q.Terms) == 0 {
		return selectDocument + `WHERE d.kind = $4 AND d.key >= $1 AND d.key < $2 ORDER BY d.key LIMIT $3`, args
	}
	query := `SELECT d.body, d.etag FROM document_terms t JOIN documents d ON d.key = t.key WHERE t.kind = $4 AND t.term = $5 AND t.key >= $1 AND t.key < $2`
	for i, term := range q.Terms {
		if args = append(args, string(term)); i > 0 {
			query += fmt.Sprintf(` AND EXISTS (SELECT 1 FROM document_terms o WHERE o.kind = $4 AND o.term = $%d AND o.key = t.key)`, len(args))
		}
	}
	return query + ` ORDER BY t.key LIMIT $3`, args
}

// Count implements resource.Store.
func (s Documents) Count(ctx context.Context, parent arm.ID, kind arm.Kind) (n int64, err error) {
	err = s.queryRow(ctx, `SELECT n FROM document_counts WHERE parent = $1 AND kind = $2`, parent.Key(), kind.Key()).Scan(&n)
	return n, instead(err, nil)
}

// countNew counts a document that is about to be written, if it is a new one.
func (s Documents) countNew(ctx context.Context, doc resource.Document) error {
	var known int
	err := s.queryRow(ctx, `SELECT 1 FROM documents WHERE key = $1`, doc.ID.Key()).Scan(&known)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = s.exec(ctx, addToCount, doc.ID.Parent().Key(), doc.Kind.Key())
	return err
}

const addToCount = `INSERT INTO document_counts (parent, kind, n) VALUES ($1, $2, 1) ON CONFLICT (parent, kind) DO UPDATE SET n = document_counts.n + 1`

// putTerms makes the terms of a document what they are to be, and leaves those that stay.
func (s Documents) putTerms(ctx context.Context, doc resource.Document) error {
	key, want := doc.ID.Key(), doc.Terms()
	have, err := collect(ctx, s.DB, scanText, `SELECT term FROM document_terms WHERE key = $1`, key)
	if err != nil {
		return err
	}
	for _, term := range have {
		if slices.Contains(want, resource.Term(term)) {
			continue
		}
		_, err := s.exec(ctx, `DELETE FROM document_terms WHERE kind = $1 AND term = $2 AND key = $3`, doc.Kind.Key(), term, key)
		if err := errors.Join(err, s.uncountTag(ctx, resource.Term(term), 1)); err != nil {
			return fmt.Errorf("writing the terms of %s: %w", doc.ID, err)
		}
	}
	for _, term := range want {
		if slices.Contains(have, string(term)) {
			continue
		}
		n, err := s.exec(ctx, insertTerm, doc.Kind.Key(), string(term), key)
		if name, value, ok := term.Tag(); ok && n == 1 && err == nil {
			_, err = s.exec(ctx, countTag, name, value, spelling(doc, name))
		}
		if err != nil {
			return fmt.Errorf("writing the terms of %s: %w", doc.ID, err)
		}
	}
	return nil
}

const (
	insertTerm = `INSERT INTO document_terms (kind, term, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	countTag   = `INSERT INTO tag_counts (name, value, spelling, n) VALUES ($1, $2, $3, 1) ON CONFLICT (name, value) DO UPDATE SET n = tag_counts.n + 1`
)

// spelling is how a document spells the name of a tag that it has.
func spelling(doc resource.Document, name string) string {
	for have := range doc.Tags {
		if strings.EqualFold(have, name) {
			return have
		}
	}
	return name
}

// uncountTag takes documents from those that have a tag, if the term is one.
func (s Documents) uncountTag(ctx context.Context, term resource.Term, n int64) error {
	name, value, ok := term.Tag()
	if !ok {
		return nil
	}
	return s.addAll(ctx, []statement{
		{`UPDATE tag_counts SET n = n - $3 WHERE name = $1 AND value = $2`, []any{name, value, n}},
		{`DELETE FROM tag_counts WHERE name = $1 AND value = $2 AND n <= 0`, []any{name, value}},
	})
}

// uncountTags takes what a document and those below it have from the counts of tags.
func (s Documents) uncountTags(ctx context.Context, key, from, to string) error {
	type counted struct {
		term string
		n    int64
	}
	scan := func(r row) (c counted, err error) {
		err = r.Scan(&c.term, &c.n)
		return c, err
	}
	all, err := collect(ctx, s.DB, scan, `SELECT term, count(*) FROM document_terms WHERE key = $1 OR (key >= $2 AND key < $3) GROUP BY term`, key, from, to)
	for _, c := range all {
		err = errors.Join(err, s.uncountTag(ctx, resource.Term(c.term), c.n))
	}
	return err
}

// Tags implements resource.Store.
func (s Documents) Tags(ctx context.Context, after string, n int) ([]resource.TagCount, error) {
	scan := func(r row) (t resource.TagCount, err error) {
		err = r.Scan(&t.Name, &t.Value, &t.N)
		return t, err
	}
	return collect(ctx, s.DB, scan, `SELECT spelling, value, n FROM tag_counts WHERE name IN
		(SELECT DISTINCT name FROM tag_counts WHERE name > $1 ORDER BY name LIMIT $2) ORDER BY name, value`, strings.ToLower(after), limit(n))
}

package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
)

// Tag implements registry.Store.
func (s Registry) Tag(ctx context.Context, name registry.Name, tag string) (registry.Tag, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return registry.Tag{}, err
	}
	t, err := scanTag(s.queryRow(ctx, selectTag+`WHERE t.repository = $1 AND t.name = $2`, repo, tag))
	return t, instead(err, registry.ErrNoManifest)
}

const selectTag = `SELECT t.name, m.digest, t.created, t.updated, t.attributes, t.pulled, t.pulls FROM tags t JOIN manifests m ON m.id = t.manifest `

func scanTag(r row) (t registry.Tag, err error) {
	var created, updated, pulled int64
	err = r.Scan(&t.Name, &t.Digest, &created, &updated, &t.Attributes, &pulled, &t.Pulls)
	t.Created, t.Updated, t.Pulled = fromMicros(created), fromMicros(updated), fromMicros(pulled)
	return t, err
}

// Tags implements registry.Store.
func (s Registry) Tags(ctx context.Context, name registry.Name, q registry.TagQuery) ([]registry.Tag, error) {
	repo, err := s.repositoryID(ctx, name)
	if err != nil {
		return nil, err
	}
	page, args := goOn(q.Order, q.After, `t.updated`, `t.name`, `$2`, []any{repo, q.Last, limit(q.N), registry.ListEnabled})
	of := `t.repository = $1`
	if q.Digest != "" { // through the manifest: what else the repository has does not matter
		args = append(args, string(q.Digest))
		of = fmt.Sprintf(`t.manifest = (SELECT id FROM manifests WHERE repository = $1 AND digest = $%d AND deleted = 0)`, len(args))
	}
	return collect(ctx, s.DB, scanTag, selectTag+`WHERE `+of+` AND t.attributes & $4 <> 0 AND `+page+` LIMIT $3`, args...)
}

// goOn is the condition and the order of a listing that goes on after a place: its name is
// the parameter last, and its time is added to the arguments.
func goOn(order registry.Order, after time.Time, updated, name, last string, args []any) (string, []any) {
	at := fmt.Sprint("$", len(args)+1)
	switch order {
	case registry.TimeAsc:
		return `(` + updated + `, ` + name + `) > (` + at + `, ` + last + `) ORDER BY ` + updated + `, ` + name, append(args, micros(after))
	case registry.TimeDesc:
		return `(` + updated + `, ` + name + `) < (` + at + `, ` + last + `) ORDER BY ` + updated + ` DESC, ` + name + ` DESC`, append(args, before(after))
	}
	return name + ` > ` + last + ` ORDER BY ` + name, args
}

// before is the time below which a listing from the newest on goes: at first all.
func before(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return micros(t)
}

// PutTag implements registry.Store. As with PutManifest, nothing is read.
func (s Registry) PutTag(ctx context.Context, name registry.Name, tag string, d digest.Digest, now time.Time) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		return s.addAll(ctx, []statement{
			{untagOther, []any{repo, tag, d, micros(now)}},
			{`UPDATE repositories SET updated = $3,
				tag_count = tag_count + CASE WHEN EXISTS (SELECT 1 FROM tags WHERE repository = $1 AND name = $2) THEN 0 ELSE 1 END
				WHERE id = $1`, []any{repo, tag, micros(now)}},
			{`INSERT INTO tags (repository, name, manifest, created, updated)
				SELECT $1, $2, id, $4, $4 FROM manifests WHERE repository = $1 AND digest = $3
				ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest, updated = excluded.updated`,
				[]any{repo, tag, d, micros(now)}},
			{`UPDATE manifests SET untagged = 0 WHERE repository = $1 AND digest = $2 AND untagged <> 0`, []any{repo, d}},
		})
	})
}

// untagOther notes since when the manifest that loses a tag to another has none, if it has
// no other tag.
const untagOther = `UPDATE manifests SET untagged = $4 WHERE id = (SELECT manifest FROM tags WHERE repository = $1 AND name = $2)
	AND digest <> $3 AND NOT EXISTS (SELECT 1 FROM tags o WHERE o.manifest = manifests.id AND o.name <> $2)`

// tagged is the row of the manifest that a tag names, or ErrNoManifest.
func (s Registry) tagged(ctx context.Context, repo int64, tag string) (id int64, err error) {
	err = s.queryRow(ctx, `SELECT manifest FROM tags WHERE repository = $1 AND name = $2`, repo, tag).Scan(&id)
	return id, instead(err, registry.ErrNoManifest)
}

// noteUntagged notes since when a manifest has no tag, if it has none.
func (s Registry) noteUntagged(ctx context.Context, manifest int64, now time.Time) error {
	return s.add(ctx, `UPDATE manifests SET untagged = $2 WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM tags WHERE manifest = $1)`, manifest, micros(now))
}

// count changes a repository's counters of tags and manifests and its time of change.
// The zero time leaves that as it is.
func (s Registry) count(ctx context.Context, repo int64, tags, manifests int, now time.Time) error {
	return s.add(ctx, `UPDATE repositories SET tag_count = tag_count + $2, manifest_count = manifest_count + $3,
		updated = CASE WHEN CAST($4 AS BIGINT) > 0 THEN $4 ELSE updated END WHERE id = $1`, repo, tags, manifests, micros(now))
}

// DeleteTag implements registry.Store.
func (s Registry) DeleteTag(ctx context.Context, name registry.Name, tag string, now time.Time, keep bool) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		manifest, err := s.tagged(ctx, repo, tag)
		if err != nil {
			return err
		}
		if keep {
			if err := s.keepTags(ctx, now, `t.repository = $2 AND t.name = $3`, repo, tag); err != nil {
				return err
			}
		}
		if err := s.add(ctx, `DELETE FROM tags WHERE repository = $1 AND name = $2`, repo, tag); err != nil {
			return err
		}
		return errors.Join(s.noteUntagged(ctx, manifest, now), s.count(ctx, repo, -1, 0, time.Time{}))
	})
}

// DeleteTags implements registry.Store.
func (s Registry) DeleteTags(ctx context.Context, name registry.Name, seen []registry.Tag, need registry.Attributes, now time.Time, keep bool) (gone []registry.Tag, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		repo, err := s.repositoryID(ctx, name)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(seen, together) {
			same, err := s.unchanged(ctx, repo, some, need)
			if err != nil {
				return err
			}
			if err := s.dropTags(ctx, repo, same, now, keep); err != nil {
				return err
			}
			gone = append(gone, same...)
		}
		return s.count(ctx, repo, -len(gone), 0, time.Time{})
	})
	return gone, err
}

// unchanged are those of the tags that are as they were seen and have the attributes.
func (s Registry) unchanged(ctx context.Context, repo int64, seen []registry.Tag, need registry.Attributes) (same []registry.Tag, err error) {
	names := padded(tagNames(seen))
	found, err := collect(ctx, s.DB, scanTag, selectTag+`WHERE t.repository = $1 AND t.name IN `+oneOf(2, names), append([]any{repo}, names...)...)
	if err != nil {
		return nil, err
	}
	now := make(map[string]registry.Tag, len(found))
	for _, t := range found {
		now[t.Name] = t
	}
	for _, t := range seen {
		if n := now[t.Name]; n.Digest == t.Digest && n.Updated.Equal(t.Updated) && n.Attributes&need == need {
			same = append(same, t)
		}
	}
	return same, nil
}

// dropTags removes tags, and notes what has none now.
func (s Registry) dropTags(ctx context.Context, repo int64, tags []registry.Tag, now time.Time, keep bool) error {
	if len(tags) == 0 {
		return nil
	}
	names := padded(tagNames(tags))
	if keep {
		if err := s.keepTags(ctx, now, `t.repository = $2 AND t.name IN `+oneOf(3, names), append([]any{repo}, names...)...); err != nil {
			return err
		}
	}
	if err := s.add(ctx, `DELETE FROM tags WHERE repository = $1 AND name IN `+oneOf(2, names), append([]any{repo}, names...)...); err != nil {
		return err
	}
	var digests []any
	for _, t := range tags {
		if !slices.Contains(digests, any(t.Digest)) {
			digests = append(digests, t.Digest)
		}
	}
	digests = padded(digests)
	return s.add(ctx, `UPDATE manifests SET untagged = $2 WHERE repository = $1 AND digest IN `+oneOf(3, digests)+
		` AND NOT EXISTS (SELECT 1 FROM tags WHERE manifest = manifests.id)`, append([]any{repo, micros(now)}, digests...)...)
}

func tagNames(tags []registry.Tag) (names []any) {
	for _, t := range tags {
		names = append(names, t.Name)
	}
	return names
}

// together is how many rows a statement for many is for: more save little.
const together = 100

// padded are values for a statement for many, of which there are few texts: the last is there
// more than once, up to the next power of two.
func padded(values []any) []any {
	for n := len(values); n > 1 && len(values) < together && len(values)&(len(values)-1) != 0; {
		values = append(values, values[n-1])
	}
	return values
}

// oneOf is a list of parameters for as many values, the first of which is $from.
func oneOf(from int, values []any) string {
	return tuples(from, 1, len(values))
}

// tuples are n tuples of so many parameters each, the first of which is $from.
func tuples(from, n, each int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for j := range each {
			if j > 0 {
				b.WriteString(", ")
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(from + i*each + j))
		}
		b.WriteByte(')')
	}
	return b.String()
}

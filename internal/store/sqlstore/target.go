package sqlstore

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
)

// Target implements registry.Store. On PostgreSQL all of it is asked for at once.
func (s Registry) Target(ctx context.Context, name registry.Name, m registry.Manifest, tags []string) (t registry.Target, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		blobs, children, loose := finder{digests: m.Blobs}, finder{digests: m.Children}, finder{digests: m.Loose}
		if err := blobs.ask(ctx, s, name, blobsAmong); err != nil {
			return err
		}
		if err := children.ask(ctx, s, name, manifestsAmong); err != nil {
			return err
		}
		if err := loose.ask(ctx, s, name, blobsAmong); err != nil {
			return err
		}
		t, err = s.switches(ctx, name, m.Digest, tags)
		t.MissingBlob = blobs.missing()
		t.Loose, t.MissingChild = children.instead(loose)
		return err
	})
	return t, err
}

// switches are those of a target.
func (s Registry) switches(ctx context.Context, name registry.Name, d digest.Digest, tags []string) (t registry.Target, err error) {
	type found struct {
		tag        string
		attributes registry.Attributes
	}
	among := padded(append([]any{""}, texts(tags)...)) // never none
	all, err := collect(ctx, s.DB, func(r row) (f found, err error) {
		var id int64
		err = r.Scan(&id, &t.Repository, &t.Manifest, &f.tag, &f.attributes)
		remember(ctx, name, id)
		return f, err
	}, `SELECT r.id, r.attributes, coalesce(m.attributes, 15), coalesce(t.name, ''), coalesce(t.attributes, 15) FROM repositories r
		LEFT JOIN manifests m ON m.repository = r.id AND m.digest = $3 AND m.deleted = 0
		LEFT JOIN tags t ON t.repository = r.id AND t.name IN `+oneOf(4, among)+`
		WHERE r.registry = $1 AND r.name = $2 AND r.deleted = 0`, append([]any{name.Registry, name.Repository, d}, among...)...)
	if err == nil && len(all) == 0 {
		err = registry.ErrNoRepository
	}
	t.Tags = map[string]registry.Attributes{}
	for _, f := range all {
		t.Tags[f.tag] = f.attributes
	}
	return t, err
}

// What a repository has of blobs and manifests, among those whose list is put behind.
const (
	blobsAmong = `SELECT b.digest FROM blobs b JOIN repository_blobs l ON l.blob = b.id
		WHERE l.repository = (SELECT id FROM repositories WHERE registry = $1 AND name = $2 AND deleted = 0) AND b.digest IN `
	manifestsAmong = `SELECT digest FROM manifests WHERE deleted = 0
		AND repository = (SELECT id FROM repositories WHERE registry = $1 AND name = $2 AND deleted = 0) AND digest IN `
)

// finder looks for digests.
type finder struct {
	digests []digest.Digest
	found   map[digest.Digest]bool
}

// ask begins to look; what is found is known after a later statement.
func (f *finder) ask(ctx context.Context, s Registry, name registry.Name, query string) error {
	f.found = make(map[digest.Digest]bool, len(f.digests))
	for some := range slices.Chunk(f.digests, together) {
		among := padded(texts(some))
		args := append([]any{name.Registry, name.Repository}, among...)
		err := s.DB.add(ctx, contents, waiting{statement: statement{query + oneOf(3, among), args}, each: func(r row) error {
			text, err := scanText(r)
			f.found[digest.Digest(text)] = true
			return err
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) missing() digest.Digest {
	for _, d := range f.digests {
		if !f.found[d] {
			return d
		}
	}
	return ""
}

// instead returns those that only the other finder has found, and the first that neither has.
func (f *finder) instead(other finder) (there []digest.Digest, missing digest.Digest) {
	for _, d := range f.digests {
		switch {
		case f.found[d]:
		case other.found[d]:
			there = append(there, d)
		case missing == "":
			missing = d
		}
	}
	return there, missing
}

// texts are arguments.
func texts[T ~string](all []T) (args []any) {
	for _, one := range all {
		args = append(args, one)
	}
	return args
}

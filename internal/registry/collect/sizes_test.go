package collect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// wrongSizes names whatever has another size than its blobs and manifests, counted.
const wrongSizes = `SELECT 'repository ' || r.registry || '/' || r.name FROM repositories r WHERE r.size <>
		(SELECT coalesce(sum(b.size), 0) FROM repository_blobs l JOIN blobs b ON b.id = l.blob WHERE l.repository = r.id) +
		(SELECT coalesce(sum(m.size), 0) FROM manifests m WHERE m.repository = r.id)
	UNION ALL
	SELECT 'registry ' || x.registry FROM (SELECT registry FROM repositories UNION SELECT registry FROM registry_sizes) AS x
	WHERE coalesce((SELECT size FROM registry_sizes s WHERE s.registry = x.registry), 0) <>
		(SELECT coalesce(sum(b.size), 0) FROM blobs b WHERE b.id IN (SELECT l.blob FROM repository_blobs l JOIN repositories r ON r.id = l.repository WHERE r.registry = x.registry)) +
		(SELECT coalesce(sum(d.size), 0) FROM (SELECT DISTINCT m.digest, m.size FROM manifests m JOIN repositories r ON r.id = m.repository WHERE r.registry = x.registry) AS d)`

// The sizes that are kept are those that would be counted, whatever happens to a registry.
func TestSizesAreKept(t *testing.T) {
	n := 60
	if testing.Short() || sqlstoretest.Postgres() {
		n = 20
	}
	w := newWorld(t)
	grew := false
	for seed := range n {
		s := &sequence{world: w, Rand: rand.New(rand.NewPCG(2, uint64(seed)))}
		for i := range 3 {
			s.at = append(s.at, registry.Name{Registry: fmt.Sprint("reg", i/2), Repository: fmt.Sprint("r", i)})
		}
		if err := s.run(); err != nil {
			t.Fatalf("sequence %d: %v\n%s", seed, err, strings.Join(s.log, "\n"))
		}
		s.sound(t)
		at := pick(s, s.at)
		s.note("unlink a layer of %s, and delete it", at.Repository)
		err := s.UnlinkBlob(t.Context(), at, digest.FromString(pick(s, layers)))
		if problem.Is(err, problem.NotFound) {
			continue
		}
		must(t, err)
		s.sound(t)
		s.keeps = false // for good: it is broken
		_, _, err = s.DeleteRepository(t.Context(), at, "me", s.now)
		must(t, err)
		s.sound(t)
		size, err := w.Store.Size(t.Context(), "reg0")
		must(t, err)
		grew = grew || size > 0
	}
	if !grew {
		t.Error("nothing was ever in the registry")
	}
}

// sound fails the test if a size is wrong.
func (s *sequence) sound(t *testing.T) {
	t.Helper()
	if wrong := sqlstoretest.Texts(t, s.where, wrongSizes); len(wrong) > 0 {
		t.Fatalf("a wrong size of %v after\n%s", wrong, strings.Join(s.log, "\n"))
	}
}

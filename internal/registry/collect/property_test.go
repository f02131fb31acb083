package collect_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// sequence is a random history of a few repositories. Its steps are logged.
type sequence struct {
	*world
	*rand.Rand
	at     []registry.Name
	bodies []string // of manifests that were pushed anywhere
	log    []string
}

func (s *sequence) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func pick[T any](s *sequence, all []T) T { return all[s.IntN(len(all))] }

var layers = []string{"one", "two", "three", "four"}

func (s *sequence) tag() string { return pick(s, []string{"", "a", "b", "c", "v1", "v2"}) }

// change is a step of a user: what he pushes may be refused, for what it needs is gone.
func (s *sequence) change() error {
	at, tag := pick(s, s.at), s.tag()
	var err error
	switch step := s.IntN(12); {
	case step < 3:
		body, blobs := image("", pick(s, layers)), append(slices.Clone(layers), config)
		s.note("push %s:%s %s", at.Repository, tag, short(body))
		err = s.push(at, tag, body, blobs...)
		s.bodies = append(s.bodies, body)
	case step < 5 && len(s.bodies) > 0:
		body := index(pick(s, s.bodies), pick(s, s.bodies))
		s.note("push index %s:%s %s", at.Repository, tag, short(body))
		err = s.put(at, tag, body)
		s.bodies = append(s.bodies, body)
	case step < 6 && len(s.bodies) > 0:
		body := image(pick(s, s.bodies), pick(s, layers))
		s.note("push referrer %s:%s %s", at.Repository, tag, short(body))
		err = s.put(at, tag, body)
		s.bodies = append(s.bodies, body)
	case step < 8 && len(s.bodies) > 0:
		body := pick(s, s.bodies)
		s.note("tag %s:%s %s", at.Repository, tag, short(body))
		err = s.put(at, tag, body)
	case step < 9 && tag != "":
		s.note("untag %s:%s", at.Repository, tag)
		err = s.DeleteTag(context.Background(), at, tag, "me", s.now)
	case step < 10:
		to := pick(s, s.at)
		s.note("import %s:%s to %s", at.Repository, tag, to.Repository)
		if tag != "" && to != at {
			_, err = s.Copy(context.Background(), at, tag, to, []string{tag}, "me", s.now)
		}
	case step < 11 && len(s.bodies) > 0:
		d := digest.FromString(pick(s, s.bodies))
		s.note("restore %s %s:%s", d.Encoded()[:6], at.Repository, tag)
		_, err = s.Restore(context.Background(), s.store, registry.Restoring{Name: at, Digest: d, Tag: tag, Force: true, Actor: "me", Now: s.now})
	default:
		s.keeps = !s.keeps
		s.note("soft delete: %t", s.keeps)
	}
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Invalid) {
		s.note("  refused: %v", err)
		return nil
	}
	return err
}

func short(body string) string { return digest.FromString(body).Encoded()[:6] }

// clean is a step of what this package is about.
func (s *sequence) clean() error {
	ctx, ago := context.Background(), time.Duration(s.IntN(100))*time.Hour
	switch step := s.IntN(6); {
	case step < 2:
		rules := collect.Rules{Before: s.now.Add(-ago), Keep: s.IntN(3), Untagged: s.IntN(2) == 0, Locked: s.IntN(2) == 0}
		if filter := s.tag(); filter != "" {
			rules.Match = func(tag string) (bool, error) { return strings.HasPrefix(tag, filter), nil }
		}
		at := pick(s, s.at)
		s.note("purge %s %+v", at.Repository, rules)
		_, err := s.purger.Purge(ctx, at, rules, "me", s.now)
		if problem.Is(err, problem.NotFound) {
			return nil
		}
		return err
	case step < 3:
		s.note("retain %s", ago)
		return s.janitor.Retain(ctx, s.at[0].Registry, s.now.Add(-ago), s.now)
	case step < 4:
		s.note("expire %s", ago)
		_, err := s.store.Expire(ctx, s.at[0].Registry, s.now.Add(-ago), s.now, 100)
		return err
	case step < 5:
		s.note("orphans")
		_, err := s.collector.Orphans(ctx, time.Now(), 0, false)
		return err
	}
	grace := time.Duration(s.IntN(2)) * time.Hour
	s.note("collect %s", grace)
	_, err := s.collector.Collect(ctx, s.now, grace)
	return err
}

// checked does a clean-up and returns an error if it took what a tag that is left needs,
// or what refers to that.
func (s *sequence) checked() error {
	before := map[registry.Name]snapshot{}
	for _, at := range s.at {
		var err error
		if before[at], err = s.look(at); err != nil {
			return err
		}
	}
	if err := s.clean(); err != nil {
		return err
	}
	for _, at := range s.at {
		after, err := s.look(at)
		if err != nil {
			return err
		}
		for _, d := range slices.Sorted(maps.Keys(before[at].reached(after.tags))) {
			if _, there := after.below[d]; !there {
				if _, was := before[at].below[d]; !was {
					continue // referred to, and never there
				}
			}
			if err := s.whole(at, d); err != nil {
				return fmt.Errorf("%s is broken: %w", at.Repository, err)
			}
		}
	}
	return nil
}

// run does some steps, lets time pass, and tidies up.
func (s *sequence) run() error {
	for range 4 + s.IntN(8) {
		if err := s.change(); err != nil {
			return err
		}
		s.now = s.now.Add(time.Duration(s.IntN(30)) * time.Hour)
		if s.IntN(3) == 0 {
			if err := s.checked(); err != nil {
				return err
			}
		}
	}
	return s.checked()
}

// No sequence of clean-ups breaks a tag that is left, whatever users do in between; and
// when all is deleted in the end, nothing of it is left.
func TestNoSequenceBreaksATag(t *testing.T) {
	n := 10_000
	if testing.Short() || raceDetector { // with the detector each is ten times as slow; make test runs all without
		n = 200
	}
	if sqlstoretest.Postgres() {
		n = 100
	}
	w := newWorld(t)
	for seed := range n {
		s := &sequence{world: w, Rand: rand.New(rand.NewPCG(1, uint64(seed)))}
		for i := range 2 {
			s.at = append(s.at, registry.Name{Registry: fmt.Sprint("reg", seed), Repository: fmt.Sprint("r", i)})
		}
		if err := s.run(); err != nil {
			t.Fatalf("sequence %d: %v\n%s", seed, err, strings.Join(s.log, "\n"))
		}
		w.keeps = false
		for _, at := range s.at {
			if _, _, err := w.DeleteRepository(t.Context(), at, "me", w.now); err != nil && !problem.Is(err, problem.NotFound) {
				t.Fatal(err)
			}
		}
		if _, err := w.store.Expire(t.Context(), s.at[0].Registry, w.now.Add(time.Hour), w.now, 1000); err != nil {
			t.Fatal(err)
		}
		if _, err := w.collector.Collect(t.Context(), w.now.Add(2*time.Hour), collect.Grace); err != nil {
			t.Fatal(err)
		}
		if seed%50 != 0 && seed != n-1 {
			continue // looking is what takes longest
		}
		if left := w.files(t); left != 0 {
			t.Fatalf("sequence %d leaves %d files\n%s", seed, left, strings.Join(s.log, "\n"))
		}
	}
}

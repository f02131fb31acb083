package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

var hello = registry.Name{Registry: "reg", Repository: "hello"}

// opened is a database with one repository, which has n blobs.
func opened(t *testing.T, where string, n int) (s Registry, blobs []digest.Digest) {
	t.Helper()
	db, err := Open(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s = Registry{DB: db}
	err = s.InTx(t.Context(), func(ctx context.Context) error {
		if err := s.EnsureRepository(ctx, hello, time.Now()); err != nil {
			return err
		}
		for i := range n {
			d := digest.FromString(fmt.Sprint(i))
			if _, err := s.AddBlob(ctx, hello, registry.Blob{Digest: d, Size: 1, Key: blob.Key(fmt.Sprint(i))}, time.Now()); err != nil {
				return err
			}
			blobs = append(blobs, d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, blobs
}

// What a manifest names is found, however much it is, and what is missing has a name.
func TestTarget(t *testing.T) {
	s, blobs := opened(t, sqlstoretest.Where(t), 250)
	ctx := t.Context()
	absent := digest.FromString("absent")
	for n := range len(blobs) + 1 {
		if n > 5 && n%49 > 2 {
			continue
		}
		m := registry.Manifest{Digest: digest.FromString("m"), Blobs: blobs[:n]}
		if target, err := s.Target(ctx, hello, m, nil); err != nil || target.MissingBlob != "" {
			t.Errorf("%d blobs: %v misses %q", n, err, target.MissingBlob)
		}
		m.Blobs = append(append([]digest.Digest{}, blobs[:n]...), absent)
		if target, err := s.Target(ctx, hello, m, nil); err != nil || target.MissingBlob != absent {
			t.Errorf("%d blobs and one that is not there: %v misses %q", n, err, target.MissingBlob)
		}
	}
	index := registry.Manifest{Digest: digest.FromString("i"), Children: []digest.Digest{absent}}
	if target, err := s.Target(ctx, hello, index, nil); err != nil || target.MissingChild != absent {
		t.Errorf("an index: %v misses %q", err, target.MissingChild)
	}
	other := registry.Name{Registry: "reg", Repository: "other"}
	if _, err := s.Target(ctx, other, index, nil); !errors.Is(err, registry.ErrNoRepository) {
		t.Errorf("no repository: %v", err)
	}
}

// The switches are those of what is changed, and of nothing else.
func TestTargetSwitches(t *testing.T) {
	s, _ := opened(t, sqlstoretest.Where(t), 0)
	ctx, now := t.Context(), time.Now()
	m := registry.Manifest{Digest: digest.FromString("m"), Attributes: 15, Body: []byte("{}"), Created: now, Updated: now}
	err := s.InTx(ctx, func(ctx context.Context) error {
		return errors.Join(s.PutManifest(ctx, hello, m), s.PutTag(ctx, hello, "locked", m.Digest, now),
			s.PutTag(ctx, hello, "free", m.Digest, now),
			s.SetAttributes(ctx, hello, "locked", 0, registry.WriteEnabled))
	})
	if err != nil {
		t.Fatal(err)
	}
	target, err := s.Target(ctx, hello, m, []string{"locked", "free", "new"})
	const all registry.Attributes = 15
	if err != nil || target.Repository != all || target.Manifest != all || target.Tags["free"] != all ||
		target.Tags["locked"] != all&^registry.WriteEnabled {
		t.Errorf("%+v, %v", target, err)
	}
	if _, there := target.Tags["new"]; there {
		t.Error("a tag that is not there has switches")
	}
}

// A statement that waits and then fails, or touches nothing, undoes its own function's part,
// whatever waits before and behind it.
func TestWaitingFails(t *testing.T) {
	s, _ := opened(t, sqlstoretest.Where(t), 0)
	insert := func(ctx context.Context, name string) error {
		return s.add(ctx, `INSERT INTO settings (name, value) VALUES ($1, '')`, name)
	}
	missing := errors.New("missing")
	var group sync.WaitGroup
	leave := occupied(t, s.DB, &group)
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() {
			errs[i] = s.InTx(t.Context(), func(ctx context.Context) error {
				if err := insert(ctx, fmt.Sprint(i, " before")); err != nil {
					return err
				}
				var err error
				switch i {
				case 1: // a broken rule of the table
					err = s.add(ctx, `INSERT INTO settings (name) VALUES ('without a value')`)
				case 2:
					err = s.need(ctx, missing, `DELETE FROM settings WHERE name = 'nobody'`)
				}
				if err != nil {
					return err
				}
				return insert(ctx, fmt.Sprint(i, " behind"))
			})
		})
	}
	close(leave)
	group.Wait()
	if errs[0] != nil || errs[1] == nil || !errors.Is(errs[2], missing) || errs[3] != nil {
		t.Errorf("the errors are %v", errs)
	}
	names, err := collect(t.Context(), s.DB, scanText, `SELECT name FROM settings WHERE name LIKE '% be%' ORDER BY name`)
	if want := "[0 before 0 behind 3 before 3 behind]"; err != nil || fmt.Sprint(names) != want {
		t.Errorf("%v, %v; want %s", names, err, want)
	}
}

// The ways to PostgreSQL and back are what a push costs there: begin, what it finds, what it
// writes, commit.
func TestTurns(t *testing.T) {
	if sqlstoretest.Postgres() {
		t.Skip("once is enough")
	}
	p := sqlstoretest.Through(t)
	s, blobs := opened(t, p.URL, 20)
	m := registry.Manifest{Digest: digest.FromString("m"), Attributes: 15, Body: []byte("{}"), Blobs: blobs}
	push := func(tag string) error {
		return s.InTx(t.Context(), func(ctx context.Context) error {
			if _, err := s.Target(ctx, hello, m, []string{tag}); err != nil {
				return err
			}
			return errors.Join(s.PutManifest(ctx, hello, m), s.PutTag(ctx, hello, tag, m.Digest, time.Now()),
				s.AddEvent(ctx, registry.Event{Name: hello, Tag: tag}))
		})
	}
	for i := range 3 { // statements are prepared the first time
		before := p.Turns()
		if err := push(fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
		if turns := p.Turns() - before; i == 2 && turns != 4 {
			t.Errorf("a push takes %d turns, want 4", turns)
		}
	}
	before := p.Turns()
	if _, err := s.exec(t.Context(), `DELETE FROM settings WHERE name = 'nobody'`); err != nil {
		t.Fatal(err)
	}
	if turns := p.Turns() - before; turns > 5 { // of which some prepare
		t.Errorf("one statement takes %d turns", turns)
	}
}

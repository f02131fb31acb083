package collect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/store/blobstore"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// world is the content of registries, with a clock.
type world struct {
	*registry.Content
	store     sqlstore.Collect
	purger    *collect.Purger
	janitor   *collect.Janitor
	collector *collect.Collector
	keeps     bool // soft delete is on
	now       time.Time
	dir       string
	where     string // the database
}

// newWorld makes a world in memory, where there is such a directory: what is tested here
// is what is written, not that it is synced.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "acrux")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	where := dir
	if sqlstoretest.Postgres() {
		where = sqlstoretest.Database(t)
	}
	db, err := sqlstore.Open(context.Background(), where)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	blobs, err := blobstore.OpenLocal(filepath.Join(dir, "blobs"))
	must(t, err)
	w := &world{store: sqlstore.Collect{Registry: sqlstore.Registry{DB: db}}, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC), dir: dir, where: where}
	w.Content = &registry.Content{Store: w.store.Registry, Blobs: blobs, Policies: func(context.Context, string) (registry.Policies, error) {
		status := "disabled"
		if w.keeps {
			status = "enabled"
		}
		return registry.Policies{SoftDelete: registry.Policy{Status: status, RetentionDays: 7}}, nil
	}}
	w.purger = &collect.Purger{Store: w.store, Content: w.Content}
	w.collector = &collect.Collector{Store: w.store, Blobs: blobs}
	w.janitor = &collect.Janitor{Purger: w.purger, Collector: w.collector, Trash: w.store, Outbox: w.store}
	return w
}

func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func name(repository string) registry.Name {
	return registry.Name{Registry: "reg", Repository: repository}
}

func descriptor(mediaType, content string) string {
	return fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d}`, mediaType, digest.FromString(content), len(content))
}

const config = `{"architecture":"arm64","os":"linux"}`

// image is a manifest; with a subject it refers to that.
func image(subject string, layers ...string) string {
	var all []string
	for _, layer := range layers {
		all = append(all, descriptor("application/vnd.oci.image.layer.v1.tar", layer))
	}
	about := ""
	if subject != "" {
		about = `"subject":` + descriptor(imageType, subject) + `,`
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s",%s"config":%s,"layers":[%s]}`, imageType, about, descriptor("application/vnd.oci.image.config.v1+json", config), strings.Join(all, ","))
}

func index(children ...string) string {
	var all []string
	for _, child := range children {
		all = append(all, descriptor(typeOf(child), child))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}`, indexType, strings.Join(all, ","))
}

func typeOf(body string) string {
	if strings.Contains(body, `"mediaType":"`+indexType) {
		return indexType
	}
	return imageType
}

// push pushes blobs and a manifest, under a tag unless it is empty.
func (w *world) push(at registry.Name, tag, body string, blobs ...string) error {
	for _, content := range blobs {
		if _, err := w.AddBlob(context.Background(), at, strings.NewReader(content), digest.FromString(content), w.now); err != nil {
			return err
		}
	}
	return w.put(at, tag, body)
}

func (w *world) put(at registry.Name, tag, body string) error {
	if tag == "" {
		tag = digest.FromString(body).String()
	}
	_, err := w.PutManifest(context.Background(), registry.Push{Name: at, Reference: tag, MediaType: typeOf(body), Body: []byte(body), Actor: "me", Now: w.now})
	return err
}

// snapshot is what a repository shows: its tags, and for each manifest what it needs and
// what refers to it.
type snapshot struct {
	tags  map[string]digest.Digest
	below map[digest.Digest][]digest.Digest
}

func (w *world) look(at registry.Name) (snapshot, error) {
	ctx, s := context.Background(), snapshot{map[string]digest.Digest{}, map[digest.Digest][]digest.Digest{}}
	tags, err := w.Tags(ctx, at, registry.TagQuery{})
	if problem.Is(err, problem.NotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	for _, t := range tags {
		s.tags[t.Name] = t.Digest
	}
	all, err := w.Manifests(ctx, at, registry.ManifestQuery{Hidden: true})
	for _, m := range all {
		full, err := w.Manifest(ctx, at, m.Digest.String())
		if err != nil {
			return s, err
		}
		s.below[m.Digest] = append(s.below[m.Digest], children(full.Body)...)
		if m.Subject != "" {
			s.below[m.Subject] = append(s.below[m.Subject], m.Digest)
		}
	}
	return s, err
}

func children(body []byte) (all []digest.Digest) {
	var doc struct {
		Manifests []struct{ Digest digest.Digest }
	}
	_ = json.Unmarshal(body, &doc) // it was pushed as JSON
	for _, child := range doc.Manifests {
		all = append(all, child.Digest)
	}
	return all
}

// reached is what the tags of one snapshot need of another.
func (s snapshot) reached(tags map[string]digest.Digest) map[digest.Digest]bool {
	all := map[digest.Digest]bool{}
	var visit func(digest.Digest)
	visit = func(d digest.Digest) {
		if all[d] {
			return
		}
		all[d] = true
		for _, next := range s.below[d] {
			visit(next)
		}
	}
	for _, d := range tags {
		visit(d)
	}
	return all
}

// whole returns an error unless everything a manifest names can be read.
func (w *world) whole(at registry.Name, d digest.Digest) error {
	ctx := context.Background()
	m, err := w.Manifest(ctx, at, d.String())
	if err != nil {
		return err
	}
	if digest.FromBytes(m.Body) != d {
		return fmt.Errorf("manifest %s has another content", d)
	}
	var doc struct {
		Config *struct{ Digest digest.Digest }
		Layers []struct{ Digest digest.Digest }
	}
	if err := json.Unmarshal(m.Body, &doc); err != nil {
		return err
	}
	parts := doc.Layers
	if doc.Config != nil {
		parts = append(parts, *doc.Config)
	}
	for _, part := range parts {
		b, err := w.Blob(ctx, at, part.Digest)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", part.Digest, d, err)
		}
		content, err := w.OpenBlob(ctx, at, b)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", part.Digest, d, err)
		}
		if err := errors.Join(content.Close()); err != nil || content.Size() != b.Size {
			return fmt.Errorf("%s of %s has %d bytes, %v", part.Digest, d, content.Size(), err)
		}
	}
	return nil
}

// files counts the blobs on disk.
func (w *world) files(t *testing.T) (n int) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(w.dir, "blobs"), func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	}))
	return n
}

package registry_test

import (
	"context"
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
	"github.com/acrux/acrux/internal/store/blobstore"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// world is the content of registries on a directory.
type world struct {
	*registry.Content
	t   *testing.T
	dir string // of the blobs
	now time.Time

	database string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, database := t.TempDir(), sqlstoretest.Where(t)
	db, err := sqlstore.Open(t.Context(), database)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	blobs, err := blobstore.OpenLocal(filepath.Join(dir, "blobs"))
	must(t, err)
	return &world{Content: &registry.Content{Store: sqlstore.Registry{DB: db}, Blobs: blobs}, t: t, dir: dir, database: database, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
}

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

// refused fails the test unless err is the problem.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || problem.From(err).Code != code {
		t.Errorf("the error is %v, want %s", err, code)
	}
}

func name(registryName, repository string) registry.Name {
	return registry.Name{Registry: registryName, Repository: repository}
}

func (w *world) blob(at registry.Name, content string) digest.Digest {
	w.t.Helper()
	b, err := w.AddBlob(w.t.Context(), at, strings.NewReader(content), digest.FromString(content), w.now)
	must(w.t, err)
	return b.Digest
}

func image(layers ...string) string {
	var all []string
	for _, layer := range layers {
		all = append(all, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}`, digest.FromString(layer), len(layer)))
	}
	config := `{"architecture":"arm64","os":"linux"}`
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},"layers":[%s]}`,
		imageType, digest.FromString(config), len(config), strings.Join(all, ","))
}

func index(children ...string) string {
	var all []string
	for _, child := range children {
		all = append(all, fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d}`, imageType, digest.FromString(child), len(child)))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}`, indexType, strings.Join(all, ","))
}

func (w *world) put(at registry.Name, reference, mediaType, body string) (registry.Manifest, error) {
	return w.PutManifest(w.t.Context(), registry.Push{Name: at, Reference: reference, MediaType: mediaType, Body: []byte(body), Actor: "me", Now: w.now})
}

// push pushes an image with its blobs and returns its manifest.
func (w *world) push(at registry.Name, tag string, layers ...string) string {
	w.t.Helper()
	w.blob(at, `{"architecture":"arm64","os":"linux"}`)
	for _, layer := range layers {
		w.blob(at, layer)
	}
	_, err := w.put(at, tag, imageType, image(layers...))
	must(w.t, err)
	return image(layers...)
}

// events lists what was written down, oldest first.
func (w *world) events() []string {
	w.t.Helper()
	return sqlstoretest.Texts(w.t, w.database, `SELECT action || ' ' || registry || '/' || repository || ':' || tag || ' by ' || actor FROM events ORDER BY id`)
}

// files counts the blobs on disk.
func (w *world) files() (n int) {
	w.t.Helper()
	must(w.t, filepath.WalkDir(filepath.Join(w.dir, "blobs"), func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

// What a manifest names must be in its repository; a push that is refused leaves
// nothing, no repository and no event.
func TestMissingParts(t *testing.T) {
	w := newWorld(t)
	at := name("reg", "hello")
	_, err := w.put(at, "v1", imageType, image("layer"))
	refused(t, err, "MANIFEST_BLOB_UNKNOWN")
	_, err = w.Repository(t.Context(), at)
	refused(t, err, "NAME_UNKNOWN")
	child := w.push(name("reg", "other"), "v1", "layer")
	_, err = w.put(at, "v1", indexType, index(child))
	refused(t, err, "MANIFEST_UNKNOWN")
	_, err = w.put(at, "v1", imageType, child)
	refused(t, err, "MANIFEST_BLOB_UNKNOWN")
	same(t, w.events(), []string{"push reg/other:v1 by me"})
	w.push(at, "v1", "layer")
	m, err := w.put(at, "multi", indexType, index(child))
	must(t, err)
	if m.ImageSize <= int64(len(child)) {
		t.Errorf("the index has a size of %d", m.ImageSize)
	}
}

func TestTagsMove(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("reg", "hello")
	first, second := w.push(at, "latest", "one"), ""
	created := w.now
	w.now = w.now.Add(time.Minute)
	second = w.push(at, "latest", "two")
	tag, err := w.Tag(ctx, at, "latest")
	must(t, err)
	same(t, tag, registry.Tag{Name: "latest", Digest: digest.FromString(second), Created: created, Updated: w.now, Attributes: 15})
	m, err := w.Manifest(ctx, at, digest.FromString(first).String())
	must(t, err)
	same(t, string(m.Body), first)
	repo, err := w.Repository(ctx, at)
	must(t, err)
	same(t, repo, registry.Repository{Name: at, Created: created, Updated: w.now, Tags: 1, Manifests: 2, Attributes: 15})
	if m.Architecture != "arm64" || m.OS != "linux" {
		t.Errorf("the platform is %s/%s", m.OS, m.Architecture)
	}
	must(t, w.DeleteTag(ctx, at, "latest", "me", w.now))
	_, err = w.Tag(ctx, at, "latest")
	refused(t, err, "TAG_UNKNOWN")
	_, err = w.Manifest(ctx, at, digest.FromString(second).String())
	must(t, err)
	same(t, w.events(), []string{"push reg/hello:latest by me", "push reg/hello:latest by me", "delete reg/hello:latest by me"})
}

// A copy into another registry is rows: no file is written, and the source may go.
func TestCopyMovesNoBytes(t *testing.T) {
	w := newWorld(t)
	ctx, from, to := t.Context(), name("reg", "hello"), name("other", "mirror")
	child := w.push(from, "v1", "one", "two")
	_, err := w.put(from, "multi", indexType, index(child))
	must(t, err)
	before := w.files()
	top, err := w.Copy(ctx, from, "multi", to, []string{"a", "b"}, "you", w.now)
	must(t, err)
	same(t, w.files(), before)
	must(t, w.DeleteManifest(ctx, from, top.Digest, "me", w.now))
	_, _, err = w.DeleteRepository(ctx, from, "me", w.now)
	must(t, err)
	for _, reference := range []string{"a", "b", top.Digest.String(), digest.FromString(child).String()} {
		_, err := w.Manifest(ctx, to, reference)
		must(t, err)
	}
	for _, layer := range []string{"one", "two"} {
		b, err := w.Blob(ctx, to, digest.FromString(layer))
		must(t, err)
		content, err := w.OpenBlob(ctx, to, b)
		must(t, err)
		var text strings.Builder
		_, err = content.WriteTo(&text, 0, content.Size())
		must(t, err)
		must(t, content.Close())
		same(t, text.String(), layer)
	}
	_, err = w.Copy(ctx, from, "v1", to, nil, "you", w.now)
	refused(t, err, "NAME_UNKNOWN")
	_, err = w.Copy(ctx, to, "none", to, nil, "you", w.now)
	refused(t, err, "MANIFEST_UNKNOWN")
	_, err = w.Copy(ctx, to, "a", name("other", "BAD"), nil, "you", w.now)
	refused(t, err, "NAME_INVALID")
	_, err = w.Copy(ctx, to, "a", name("other", "untagged"), nil, "you", w.now)
	must(t, err)
	events := w.events()
	same(t, events[len(events)-1], "push other/untagged: by you")
}

func TestMount(t *testing.T) {
	w := newWorld(t)
	ctx, from, to := t.Context(), name("reg", "from"), name("reg", "to")
	d := w.blob(from, "layer")
	before := w.files()
	for _, test := range []struct {
		from registry.Name
		want bool
	}{{from, true}, {name("reg", "nobody"), false}, {name("other", "from"), false}} {
		mounted, err := w.Mount(ctx, to, test.from, d, w.now)
		if err != nil || mounted != test.want {
			t.Errorf("from %v: %v, %v", test.from, mounted, err)
		}
	}
	must(t, w.UnlinkBlob(ctx, from, d))
	_, err := w.Blob(ctx, from, d)
	refused(t, err, "BLOB_UNKNOWN")
	_, err = w.Blob(ctx, to, d)
	must(t, err)
	same(t, w.files(), before)
	if mounted, err := w.Mount(ctx, name("reg", "late"), from, d, w.now); err != nil || mounted {
		t.Errorf("a blob was mounted from where it is no more: %v", err)
	}
	_, err = w.Repository(ctx, name("reg", "late"))
	refused(t, err, "NAME_UNKNOWN")
}

// The same content pushed twice is kept once.
func TestSameContent(t *testing.T) {
	w := newWorld(t)
	w.blob(name("reg", "a"), "layer")
	w.blob(name("other", "b"), "layer")
	same(t, w.files(), 1)
	_, err := w.AddBlob(t.Context(), name("reg", "a"), strings.NewReader("layer"), digest.FromString("other"), w.now)
	refused(t, err, "DIGEST_INVALID")
	same(t, w.files(), 1)
}

func TestReferrers(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("reg", "hello")
	subject := digest.FromString(w.push(at, "v1", "layer"))
	signature := strings.Replace(image(), `"layers"`, `"artifactType":"a/b","subject":{"mediaType":"`+imageType+`","digest":"`+subject.String()+`","size":1},"annotations":{"k":"v"},"layers"`, 1)
	m, err := w.put(at, digest.FromString(signature).String(), imageType, signature)
	must(t, err)
	all, err := w.Referrers(ctx, at, registry.ReferrerQuery{Subject: subject})
	must(t, err)
	if len(all) != 1 || all[0].Digest != m.Digest || all[0].ArtifactType != "a/b" || all[0].Annotations["k"] != "v" {
		t.Errorf("the referrers are %v", all)
	}
	all, err = w.Referrers(ctx, name("reg", "nobody"), registry.ReferrerQuery{Subject: subject})
	if err != nil || len(all) != 0 {
		t.Error(all, err)
	}
}

// An event is part of the change: a transaction that fails leaves neither.
func TestEventsRollBack(t *testing.T) {
	w := newWorld(t)
	at := name("reg", "hello")
	w.push(at, "v1", "layer")
	failure := problem.New(problem.Internal, "Enough", "enough")
	err := w.Store.InTx(t.Context(), func(ctx context.Context) error {
		must(t, w.DeleteTag(ctx, at, "v1", "me", w.now))
		return failure
	})
	refused(t, err, "Enough")
	_, err = w.Tag(t.Context(), at, "v1")
	must(t, err)
	same(t, w.events(), []string{"push reg/hello:v1 by me"})
	manifests, tags, err := w.DeleteRepository(t.Context(), at, "me", w.now)
	must(t, err)
	same(t, []any{len(manifests), tags}, []any{1, []string{"v1"}})
	same(t, w.events(), []string{"push reg/hello:v1 by me", "delete reg/hello: by me"})
}

// Uploads that nobody goes on with are swept away, those in time stay.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("reg", "hello")
	old, err := w.StartUpload(ctx, at, w.now)
	must(t, err)
	fresh, err := w.StartUpload(ctx, at, w.now.Add(23*time.Hour))
	must(t, err)
	must(t, w.SweepUploads(ctx, w.now.Add(25*time.Hour)))
	_, err = w.Upload(ctx, at, old.ID)
	refused(t, err, "BLOB_UPLOAD_UNKNOWN")
	fresh, err = w.Append(ctx, fresh, strings.NewReader("x"), w.now)
	must(t, err)
	same(t, w.files(), 1)
	stale := fresh
	fresh, err = w.Append(ctx, fresh, strings.NewReader("y"), w.now)
	must(t, err)
	_, err = w.Append(ctx, stale, strings.NewReader("z"), w.now)
	refused(t, err, "BLOB_UPLOAD_INVALID")
	_, err = w.Finish(ctx, fresh, strings.NewReader(""), digest.FromString("xy"), w.now)
	must(t, err)
}

// Pushes that are begun and never ended take what nobody counts: there is a bound for each
// registry.
func TestBegunUploadsAreBounded(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	at := registry.Name{Registry: "r", Repository: "app"}
	var first registry.Upload
	for n := range 1000 {
		u, err := w.StartUpload(ctx, at, w.now)
		if err != nil {
			t.Fatalf("upload %d: %v", n, err)
		}
		if n == 0 {
			first = u
		}
	}
	if _, err := w.StartUpload(ctx, at, w.now); !problem.Is(err, problem.Limited) {
		t.Errorf("upload 1001: %v", err)
	}
	if _, err := w.StartUpload(ctx, registry.Name{Registry: "other", Repository: "app"}, w.now); err != nil {
		t.Errorf("another registry's: %v", err)
	}
	if err := w.CancelUpload(ctx, first); err != nil {
		t.Fatal(err)
	}
	if _, err := w.StartUpload(ctx, at, w.now); err != nil {
		t.Errorf("after one was canceled: %v", err)
	}
}

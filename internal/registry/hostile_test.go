package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
)

// manyBlobs are blobs of a repository without content: rows.
func (w *world) manyBlobs(at registry.Name, n int) (layers []string) {
	w.t.Helper()
	must(w.t, w.Store.InTx(w.t.Context(), func(ctx context.Context) error {
		if err := w.Store.EnsureRepository(ctx, at, w.now); err != nil {
			return err
		}
		for i := range n {
			layers = append(layers, fmt.Sprint("layer", i))
			b := registry.Blob{Digest: digest.FromString(layers[i]), Size: 1, Key: "x"}
			if _, err := w.Store.AddBlob(ctx, at, b, w.now); err != nil {
				return err
			}
		}
		return nil
	}))
	return layers
}

// A manifest of very many layers is taken if they are all there, up to a bound.
func TestManyLayers(t *testing.T) {
	w := newWorld(t)
	at := name("reg", "hello")
	w.push(at, "v1") // its config
	layers := w.manyBlobs(at, 10_000)
	_, err := w.put(at, "most", imageType, image(layers[1:]...))
	must(t, err)
	_, err = w.put(at, "more", imageType, image(layers...))
	refused(t, err, "MANIFEST_INVALID")
	_, err = w.put(at, "missing", imageType, image(append(layers[2:], "nobody")...))
	refused(t, err, "MANIFEST_BLOB_UNKNOWN")
	again := strings.Repeat(`{"digest":"`+digest.FromString(layers[0]).String()+`","size":1},`, 40_000)
	m, err := w.put(at, "again", imageType, strings.Replace(image(layers[1]), `"layers":[`, `"layers":[`+again, 1))
	must(t, err)
	same(t, len(m.Blobs), 3)
	_, err = w.Copy(t.Context(), at, "most", name("other", "hello"), []string{"v1"}, "me", w.now)
	must(t, err)
}

// Sizes that cannot be are refused, before they are added up.
func TestImpossibleSizes(t *testing.T) {
	w := newWorld(t)
	at := name("reg", "hello")
	w.push(at, "v1", "layer")
	for _, size := range []string{"-1", "9223372036854775807", "9223372036854775808", "1e3", `"5"`} {
		_, err := w.put(at, "v2", imageType, strings.Replace(image("layer"), `"size":5`, `"size":`+size, 1))
		refused(t, err, "MANIFEST_INVALID")
		_, err = w.put(at, "v2", indexType, strings.Replace(index(image("layer")), `"size":`, `"size":`+size+`,"was":`, 1))
		refused(t, err, "MANIFEST_INVALID")
	}
	if _, err := w.put(at, "v2", imageType, image("layer", "layer")); err != nil {
		t.Error(err)
	}
}

// A manifest cannot name itself: its digest would be another one. One that names what is
// not there, or what is there as something else, is refused.
func TestSelfReference(t *testing.T) {
	w := newWorld(t)
	at := name("reg", "hello")
	child := w.push(at, "v1", "layer")
	self := index(child)
	_, err := w.put(at, digest.FromString(self).String(), indexType, index(self))
	refused(t, err, "DIGEST_INVALID")
	_, err = w.put(at, "v2", indexType, index(index(self)))
	refused(t, err, "MANIFEST_UNKNOWN")
	_, err = w.put(at, "v2", indexType, index("layer")) // a blob
	refused(t, err, "MANIFEST_UNKNOWN")
	_, err = w.put(at, "v2", imageType, image(child)) // a manifest
	refused(t, err, "MANIFEST_BLOB_UNKNOWN")
	subject := strings.Replace(child, `"layers"`, `"subject":{"mediaType":"`+imageType+`","digest":"`+digest.FromString("self").String()+`","size":1},"layers"`, 1)
	_, err = w.put(at, digest.FromString("self").String(), imageType, subject)
	refused(t, err, "DIGEST_INVALID")
}

// Indexes in indexes, 100 deep, each naming two below in two ways: as many paths as there
// are atoms, and 200 manifests.
func TestDeepIndexes(t *testing.T) {
	w := newWorld(t)
	at := name("reg", "hello")
	a, b := w.push(at, "v1", "a"), w.push(at, "v2", "b")
	for range 100 {
		above, other := index(a, b, a), index(b, a)
		for _, body := range []string{above, other} {
			_, err := w.put(at, digest.FromString(body).String(), indexType, body)
			must(t, err)
		}
		a, b = above, other
	}
	_, err := w.put(at, "top", indexType, a)
	must(t, err)
	to := name("other", "copy")
	_, err = w.Copy(t.Context(), at, "top", to, []string{"top"}, "me", w.now)
	must(t, err)
	repo, err := w.Repository(t.Context(), to)
	must(t, err)
	same(t, repo.Manifests, int64(201))
	must(t, w.SetAttributes(t.Context(), at, "top", 0, registry.DeleteEnabled))
	refused(t, w.DeleteManifest(t.Context(), at, digest.FromString(image("a")), "me", w.now), "REGISTRY_DISALLOWED_OPERATION")
}

// Of two pushes of one tag at once each is whole, and the tag names one of them.
func TestOneTagAtOnce(t *testing.T) {
	w := newWorld(t)
	at := name("reg", "hello")
	one, two := w.push(at, "one", "1"), w.push(at, "two", "2")
	var group sync.WaitGroup
	for i := range 40 {
		body := one
		if i%2 == 0 {
			body = two
		}
		group.Go(func() {
			if _, err := w.put(at, "v1", imageType, body); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	m, err := w.Manifest(t.Context(), at, "v1")
	must(t, err)
	if text := string(m.Body); text != one && text != two || m.Digest != digest.FromString(text) {
		t.Errorf("the tag names %s", m.Digest)
	}
	repo, err := w.Repository(t.Context(), at)
	must(t, err)
	same(t, []int64{repo.Tags, repo.Manifests}, []int64{3, 2})
}

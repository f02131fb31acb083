package registryapi_test

import (
	"context"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/server/servertest"
)

// presigner is a store whose content lies at an address of its own.
type presigner struct{ blob.Store }

func (presigner) Presign(_ context.Context, key blob.Key, lifetime time.Duration) (string, error) {
	return "https://store.test/" + string(key) + "?for=" + lifetime.String(), nil
}

func (presigner) MinChunk() int64 { return 5 << 20 }

// A store that would rather have no small chunks says so; they are taken all the same.
func TestMinChunk(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	equal(t, r.send("POST", "/v2/hello/blobs/uploads/", "").Header.Get("OCI-Chunk-Min-Length"), "")
	w.Content.Blobs = presigner{w.Content.Blobs}
	a := r.send("POST", "/v2/hello/blobs/uploads/", "")
	equal(t, a.Header.Get("OCI-Chunk-Min-Length"), "5242880")
	at := a.Header.Get("Location")
	want(t, r.send("PATCH", at, "a", "Content-Range", "0-0"), 202, "")
	want(t, r.send("PATCH", at, "b", "Content-Range", "1-1"), 202, "")
	want(t, r.send("PUT", at+"?digest="+digestOf("ab"), ""), 201, "")
}

// Clients are sent to the store after the check of their rights, where that is wanted,
// and for the content alone.
func TestRedirect(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.blob(t, "hello", "layer")
	w.Content.Blobs = presigner{w.Content.Blobs}
	path := "/v2/hello/blobs/" + digestOf("layer")
	want(t, r.send("GET", path, ""), 200, "")
	w.Content.Redirect = true
	a := r.send("GET", path, "", "Range", "bytes=1-2")
	want(t, a, 307, "")
	for info := range w.Content.Blobs.List(t.Context()) {
		equal(t, a.Header.Get("Location"), "https://store.test/"+string(info.Key)+"?for=10m0s")
	}
	equal(t, a.Header.Get("Cache-Control"), "no-store")
	equal(t, a.Header.Get("Content-Range"), "")
	a = r.send("HEAD", path, "")
	want(t, a, 200, "")
	equal(t, a.Header.Get("Content-Length"), "5")
	want(t, r.send("GET", path, "", "Range", "bytes=9-"), 416, "RANGE_INVALID")
	want(t, r.send("GET", "/v2/other/blobs/"+digestOf("layer"), ""), 404, "BLOB_UNKNOWN")
	for _, header := range []string{"", "Basic eDp5", "Bearer x"} {
		a := r.send("GET", path, "", "Authorization", header)
		if a.Status != 401 || a.Header.Get("Location") != "" {
			t.Errorf("%q: %d, %s", header, a.Status, a.Header.Get("Location"))
		}
	}
	stranger := of(w, "myregistry", w.Person("stranger", "", w.Group))
	if a := stranger.send("GET", path, ""); a.Status != 403 || a.Header.Get("Location") != "" {
		t.Errorf("%d, %s", a.Status, a.Header.Get("Location"))
	}
	manifest := r.image(t, "hello", "v1", "layer")
	equal(t, r.send("GET", "/v2/hello/manifests/v1", "").Body, manifest)
}

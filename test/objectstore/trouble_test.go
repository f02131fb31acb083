package objectstore_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob/blobtest"
)

// ask sends a request to the registry, and returns the answer with what came of its body.
func (w *world) ask(method, path, body string) (*http.Response, string, error) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+w.host+path, strings.NewReader(body))
	must(w.t, err)
	req.SetBasicAuth(w.Admin.ClientID, w.Admin.Secret)
	res, err := w.client.RoundTrip(req)
	must(w.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res, string(text), err
}

// largest is the path of an image's largest blob, and its size.
func (w *world) largest(image v1.Image) (path string, size int64) {
	w.t.Helper()
	layers, err := image.Layers()
	must(w.t, err)
	for _, layer := range layers {
		d, err := layer.Digest()
		must(w.t, err)
		if n, err := layer.Size(); err == nil && n > size {
			path, size = "/v2/hello/blobs/"+d.String(), n
		}
	}
	return path, size
}

// A store that fails now and then is noticed by nobody, and one that is away is no fault of
// who asks: he is told to try again.
func TestStoreInTrouble(t *testing.T) {
	var trouble *blobtest.Trouble
	w := newWorldOn(t, false, func(store *blobtest.S3Server, url string) string {
		trouble = store.Through(t)
		return trouble.URL(url) + "&stall=5s"
	})
	every := func(*http.Request) bool { return true }
	reads := func(r *http.Request) bool { return r.Method == http.MethodGet }
	image, err := random.Image(9<<20, 2)
	must(t, err)
	trouble.Play(blobtest.Every(5, every, blobtest.Refusal(500, "InternalError")))
	must(t, remote.Write(w.ref("hello:v1"), image, w.options()...))
	trouble.Play(blobtest.Every(3, reads, blobtest.Stopping(1<<20, false)))
	pulled, err := remote.Image(w.ref("hello:v1"), w.options()...)
	must(t, err)
	must(t, validate.Image(pulled))

	path, size := w.largest(image)
	small := "/v2/hello/blobs/uploads/?digest=" + digest.FromString("x").String()
	for _, play := range []blobtest.Play{blobtest.Refusal(503, "SlowDown"), blobtest.Cut, trouble.Silence} {
		trouble.Play(play)
		for _, request := range [][2]string{{"GET", path}, {"POST", small}} {
			res, text, err := w.ask(request[0], request[1], "x")
			head := res.Header
			kept := head.Get("Cache-Control") + head.Get("ETag") // as the blob, for a year
			if err != nil || res.StatusCode != 503 || !strings.Contains(text, "UNAVAILABLE") ||
				head.Get("Retry-After") == "" || kept != "" {
				t.Errorf("%s is answered %d %s %v, %v", request[0], res.StatusCode, text, head, err)
			}
		}
	}
	// The end of the wait comes after the begin of the answer: the client learns from the length.
	trouble.Play(blobtest.Every(1, reads, blobtest.Stopping(1<<20, true)))
	if res, text, err := w.ask("GET", path, ""); res.StatusCode != 200 || err == nil || len(text) == 0 || int64(len(text)) >= size {
		t.Errorf("%d bytes of %d with %d, %v", len(text), size, res.StatusCode, err)
	}
	trouble.Play(nil)
	if res, text, err := w.ask("GET", path, ""); res.StatusCode != 200 || err != nil || int64(len(text)) != size {
		t.Errorf("%d bytes of %d with %d, %v", len(text), size, res.StatusCode, err)
	}
	log, err := os.ReadFile(w.Log)
	must(t, err)
	if n := bytes.Count(log, []byte("level=ERROR")); n == 0 || n > 3 || !bytes.Contains(log, []byte("does the object store at")) {
		t.Errorf("the log tells %d times of 7 faults: %s", n, log)
	}
}

package registryapi_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// breakOff sends a request whose body ends after part of what it promised.
func (r registry) breakOff(t *testing.T, method, path, part string, promised int64) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.host+path, io.MultiReader(strings.NewReader(part), gone{}))
	must(t, err)
	req.ContentLength = promised
	req.Header.Set("Authorization", basic(string(r.person.ClientID), r.person.Secret))
	req.Header.Set("Content-Type", imageType)
	if res, err := r.Client.Do(req); err == nil {
		_ = res.Body.Close()
		t.Errorf("%s %s: %d for half a body", method, path, res.StatusCode)
	}
}

type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, errors.New("the client is gone") }

// Of an upload that breaks off what arrived is kept, and it goes on there; of what is
// pushed whole nothing is.
func TestTruncated(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "hello", "v1", "layer")
	at := r.push(t, "hello")
	first, rest := strings.Repeat("first ", 100_000), strings.Repeat(" rest", 1000)
	r.breakOff(t, "PATCH", at, first, int64(len(first)+len(rest)))
	a := r.send("GET", at, "")
	for range 1000 { // the server may still be at it
		if a.Header.Get("Range") != "0-0" {
			break
		}
		a = r.send("GET", at, "")
	}
	equal(t, a.Header.Get("Range"), "0-599999")
	want(t, r.send("PUT", at+"?digest="+digestOf(first+rest), rest), 201, "")
	equal(t, r.send("GET", "/v2/hello/blobs/"+digestOf(first+rest), "").Body, first+rest)

	r.breakOff(t, "POST", "/v2/hello/blobs/uploads/?digest="+digestOf("half"), "half", 8)
	want(t, r.send("HEAD", "/v2/hello/blobs/"+digestOf("half"), ""), 404, "")
	r.breakOff(t, "PUT", "/v2/hello/manifests/v2", manifest, int64(len(manifest)+1))
	want(t, r.send("GET", "/v2/hello/manifests/v2", ""), 404, "MANIFEST_UNKNOWN")
}

// An upload is of one repository, and its ID opens it nowhere else.
func TestForeignUploads(t *testing.T) {
	w := servertest.New(t)
	r, another := of(w, "myregistry", w.Admin), of(w, registryNamed(w, "Another1"), w.Admin)
	at := r.push(t, "hello")
	want(t, r.send("PATCH", at, "mine"), 202, "")
	id := at[strings.LastIndex(at, "/")+1:]
	for _, where := range []struct {
		registry registry
		path     string
	}{
		{r, "/v2/other/blobs/uploads/" + id}, {another, at}, {r, "/v2/hello/world/blobs/uploads/" + id}, {r, "/v2/hello/blobs/uploads/" + strings.ToUpper(id)},
		{r, "/v2/hello/blobs/uploads/" + id[:35]}, {r, "/v2/hello/blobs/uploads/" + strings.ReplaceAll(id, "-", "")}, {r, "/v2/hello/blobs/uploads/%25"}, {r, "/v2/hello/blobs/uploads/00000000-0000-0000-0000-000000000000"},
	} {
		for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
			a := where.registry.send(method, where.path+"?digest="+digestOf("minex"), "x")
			want(t, a, 404, "BLOB_UPLOAD_UNKNOWN")
		}
	}
	equal(t, r.send("GET", at, "").Header.Get("Range"), "0-3")
	want(t, r.send("PUT", at+"?digest="+digestOf("mine"), ""), 201, "")
	want(t, r.send("GET", at, ""), 404, "BLOB_UPLOAD_UNKNOWN")
}

package registryapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/oci"
)

// Names may hold the words that follow them: a path is read from its right end.
func TestParse(t *testing.T) {
	for _, test := range []struct {
		path string
		want request
	}{
		{"/v2", request{Kind: base}},
		{"/v2/", request{Kind: base}},
		{"/oauth2/token", request{Kind: tokens}},
		{"/oauth2/exchange", request{Kind: exchange}},
		{"/v2/_catalog", request{Kind: catalog}},
		{"/v2/a/manifests/v1", request{manifest, "a", "v1"}},
		{"/v2/manifests/manifests/manifests", request{manifest, "manifests", "manifests"}},
		{"/v2/a/blobs/uploads", request{uploadStart, "a", ""}},
		{"/v2/a/blobs/uploads/", request{uploadStart, "a", ""}},
		{"/v2/a/blobs/uploads/x", request{upload, "a", "x"}},
		{"/v2/a/blobs/uploads/blobs/uploads/", request{uploadStart, "a/blobs/uploads", ""}},
		{"/v2/a/blobs/uploads/tags/list", request{tagList, "a/blobs/uploads", ""}},
		{"/v2/a/b/blobs/sha256:x", request{blobContent, "a/b", "sha256:x"}},
		{"/v2/a/referrers/sha256:x", request{referrers, "a", "sha256:x"}},
		{"/acr/v1/_catalog", request{Kind: acrCatalog}},
		{"/acr/v1/a/b", request{acrRepository, "a/b", ""}},
		{"/acr/v1/a/b/_tags", request{acrTags, "a/b", ""}},
		{"/acr/v1/a/b/_tags/v1", request{acrTag, "a/b", "v1"}},
		{"/acr/v1/a/_manifests/sha256:x", request{acrManifest, "a", "sha256:x"}},
		{"/acr/v1/_deleted/x", request{}},
		{"/acr/v1/_deleted", request{}},
		{"/acr/v1/_deleted/_deleted/_catalog", request{}},
		{"/acr/v1/_deleted/_catalog", request{Kind: deletedCatalog}},
		{"/acr/v1/_deleted/a/b/_tags", request{deletedTags, "a/b", ""}},
		{"/acr/v1/_deleted/a/_tags/v1", request{}},
		{"/acr/v1/_deleted/a/_manifests", request{deletedManifests, "a", ""}},
		{"/acr/v1/_deleted/a/_manifests/sha256:x", request{deletedManifest, "a", "sha256:x"}},
		{"/acr/v1/a/b/_purge", request{acrPurge, "a/b", ""}},
		{"/acr/v1/_purge", request{}},
		{"/acr/v1/a/_deleted", request{acrRepository, "a/_deleted", ""}},
		{"/acr/v1/", request{}},
		{"/acr/v1/_tags", request{}},
		{"/v2//manifests/v1", request{}},
		{"/v2/manifests/v1", request{}},
		{"/v2/a/manifests/", request{}},
		{"/v2/a", request{}},
		{"/v1/a", request{}},
		{"/", request{}},
		{"", request{}},
	} {
		if diff := cmp.Diff(test.want, parse(test.path)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", test.path, diff)
		}
	}
}

// Whatever the path and method, what is served of a registry's contents takes a right
// on exactly that.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"/v2/a/manifests/v1", "/v2/a/blobs/uploads/", "/acr/v1/a/_tags", "/v2/_catalog", "/acr/v1/_catalog", "/v2//x//y"} {
		f.Add(seed, http.MethodGet)
	}
	f.Fuzz(func(t *testing.T, path, method string) {
		req := parse(path)
		need, needed := req.need(method)
		switch req.Kind {
		case base, exchange, tokens, unknown:
			if needed || req.Repository != "" {
				t.Fatalf("%s %q is %#v and needs %s", method, path, req, need)
			}
		case deletedCatalog:
			if need.String() != oci.DeletedCatalogAccess().String() {
				t.Fatalf("%s %q needs %s", method, path, need)
			}
		case catalog, acrCatalog:
			if need.String() != oci.CatalogAccess().String() {
				t.Fatalf("%s %q needs %s", method, path, need)
			}
		default:
			if !needed || need.Type != "repository" || need.Name != req.Repository || len(need.Actions) == 0 {
				t.Fatalf("%s %q is %#v and needs %s", method, path, req, need)
			}
		}
	})
}

// Ranges that are served lie in the blob, and are not more than it.
func FuzzRanges(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=9-3", "bytes=0-1,2-3",
		"bytes=99999999999999999999-1", "bytes=-", "Bytes=1-99999999999999999999", "bytes= ,0-1 ,\t-1", "bytes=-99999999999999999999", "bytes=0-5,3-9"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		all, asked := parseRanges(header, size)
		if len(all) > maxRanges || len(all) > 0 && !asked {
			t.Fatalf("%q of %d: %d ranges, asked %t", header, size, len(all), asked)
		}
		rest := size
		for _, s := range all {
			if rest -= s.n; s.offset < 0 || s.n < 1 || s.offset > size-s.n || rest < 0 {
				t.Fatalf("%q of %d: %v", header, size, all)
			}
		}
		if p := newParts(all, size); p.length() < size-rest {
			t.Fatalf("%q of %d: a length of %d", header, size, p.length())
		}
	})
}

// A chunk that is taken begins where the upload ends, has bytes, and as many as it
// says.
func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"0-4", "bytes 0-4/9", "bytes 5-9/*", "5-4", "0-9223372036854775807", "9223372036854775807-9223372036854775807", "-", "1-2-3", "00-04"} {
		f.Add(seed, int64(5), int64(0))
		f.Add(seed, int64(-1), int64(5))
	}
	f.Fuzz(func(t *testing.T, span string, length, at int64) {
		if at < 0 || length < -1 || !continues(span, length, at) {
			return
		}
		var from, to uint64
		digits := strings.TrimPrefix(span, "bytes ")
		if _, err := fmt.Sscanf(digits, "%d-%d", &from, &to); err != nil {
			t.Fatalf("%q was taken: %v", span, err)
		}
		if from != uint64(at) || to < from || length == 0 || length > 0 && to-from+1 != uint64(length) {
			t.Fatalf("%q of %d bytes was taken at %d", span, length, at)
		}
	})
}

// Every name and reference there may be is found in the paths made of them, whatever
// words they contain, and nothing else is.
func FuzzPathOfName(f *testing.F) {
	for _, name := range []string{"a", "a/b", "manifests", "a/manifests/tags", "blobs/uploads", "a/tags/list", "a/blobs/uploads/blobs", "a/../b", "A"} {
		for _, reference := range []string{"v1", "list", "uploads", "_tags", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "..", "a/b"} {
			f.Add(name, reference)
		}
	}
	f.Fuzz(func(t *testing.T, name, reference string) {
		isDigest := digest.Digest(reference).Validate() == nil
		if !oci.ValidRepository(name) || !oci.ValidTag(reference) && !isDigest {
			return
		}
		all := map[string]request{
			"/v2/" + name + "/tags/list":                            {tagList, name, ""},
			"/v2/" + name + "/manifests/" + reference:               {manifest, name, reference},
			"/v2/" + name + "/blobs/uploads/":                       {uploadStart, name, ""},
			"/v2/" + name + "/blobs/uploads/" + reference:           {upload, name, reference},
			"/acr/v1/" + name:                                       {acrRepository, name, ""},
			"/acr/v1/" + name + "/_tags":                            {acrTags, name, ""},
			"/acr/v1/" + name + "/_tags/" + reference:               {acrTag, name, reference},
			"/acr/v1/" + name + "/_manifests":                       {acrManifests, name, ""},
			"/acr/v1/" + name + "/_manifests/" + reference:          {acrManifest, name, reference},
			"/acr/v1/" + name + "/_purge":                           {acrPurge, name, ""},
			"/acr/v1/_deleted/" + name + "/_tags":                   {deletedTags, name, ""},
			"/acr/v1/_deleted/" + name + "/_manifests/" + reference: {deletedManifest, name, reference},
		}
		if isDigest {
			all["/v2/"+name+"/blobs/"+reference] = request{blobContent, name, reference}
			all["/v2/"+name+"/referrers/"+reference] = request{referrers, name, reference}
		}
		for path, want := range all {
			if got := parse(path); got != want {
				t.Errorf("%s is %#v", path, got)
			}
		}
	})
}

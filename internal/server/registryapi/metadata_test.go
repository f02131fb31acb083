package registryapi_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	reg "github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/servertest"
)

// The metadata API, az-wire 12.4.
func TestMetadata(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	tr := w.NewTranscript()
	manifest := r.image(t, "team/hello", "v1", "layer")
	want(t, r.send("PUT", "/v2/team/hello/manifests/v2", manifest, "Content-Type", imageType), 201, "")
	r.image(t, "zoo", "latest", "other layer")
	for _, step := range []struct{ title, method, path string }{
		{"the catalogue", "GET", "/acr/v1/_catalog"},
		{"a page of it", "GET", "/v2/_catalog?n=1"},
		{"the next page", "GET", "/v2/_catalog?n=1&last=team/hello"},
		{"nothing of it", "GET", "/v2/_catalog?n=0"},
		{"a repository", "GET", "/acr/v1/team/hello"},
		{"a repository missing", "GET", "/acr/v1/nobody"},
		{"tags", "GET", "/acr/v1/team/hello/_tags"},
		{"the newest tag", "GET", "/acr/v1/team/hello/_tags?n=1&orderby=timedesc"},
		{"the one before", "GET", "/acr/v1/team/hello/_tags?n=1&orderby=timedesc&last=v2"},
		{"tags of a manifest", "GET", "/acr/v1/team/hello/_tags?n=1&digest=" + digestOf(manifest)},
		{"tags in an unknown order", "GET", "/acr/v1/team/hello/_tags?orderby=size"},
		{"a bad page", "GET", "/acr/v1/team/hello/_tags?n=x"},
		{"a tag", "GET", "/acr/v1/team/hello/_tags/v1"},
		{"a tag missing", "GET", "/acr/v1/team/hello/_tags/v9"},
		{"manifests", "GET", "/acr/v1/team/hello/_manifests"},
		{"a manifest", "GET", "/acr/v1/team/hello/_manifests/" + digestOf(manifest)},
		{"a manifest missing", "GET", "/acr/v1/team/hello/_manifests/" + digestOf("none")},
		{"delete a tag", "DELETE", "/acr/v1/team/hello/_tags/v2"},
		{"delete it again", "DELETE", "/acr/v1/team/hello/_tags/v2"},
		{"delete the repository", "DELETE", "/acr/v1/team/hello"},
		{"delete it again", "DELETE", "/acr/v1/team/hello"},
		{"the newest manifest", "GET", "/acr/v1/zoo/_manifests?n=1&orderby=timedesc"},
		{"soft delete", "GET", "/acr/v1/_deleted/_catalog"},
		{"tags of OCI", "GET", "/v2/zoo/tags/list"},
		{"tags of a repository missing", "GET", "/v2/nobody/tags/list"},
		{"referrers of nothing", "GET", "/v2/nobody/referrers/" + digestOf("none")},
	} {
		tr.Add(step.title, step.method+" "+step.path, r.send(step.method, step.path, ""), "Link", "Content-Type")
	}
	servertest.Golden(t, "metadata.golden", tr.String())
}

// Pages of manifests meet neither twice nor never, in any order.
func TestManifestPages(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	var pushed []string
	for i := range 11 {
		pushed = append(pushed, digestOf(r.image(t, "hello", fmt.Sprintf("t%02d", i), fmt.Sprint("layer", i))))
	}
	newest := slices.Clone(pushed)
	slices.Reverse(newest)
	for order, want := range map[string][]string{"": slices.Sorted(slices.Values(pushed)), "&orderby=timeasc": pushed, "&orderby=timedesc": newest} {
		var seen []string
		for next := "/acr/v1/hello/_manifests?n=3" + order; next != ""; {
			a := r.send("GET", next, "")
			all, _ := a.At("manifests").([]any)
			for _, m := range all {
				seen = append(seen, m.(map[string]any)["digest"].(string))
			}
			_, link, _ := strings.Cut(a.Header.Get("Link"), "<")
			next, _, _ = strings.Cut(link, ">")
		}
		equal(t, seen, want)
	}
}

// By time there is no page after what was deleted; it is told, since an empty one
// would look like the end.
func TestPageAfterDeleted(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "hello", "v1", "layer")
	for _, path := range []string{"_tags?orderby=timedesc&last=gone", "_tags?orderby=timeasc&last=gone", "_manifests?orderby=timedesc&last=" + digestOf("gone"), "_manifests?orderby=timeasc&last=gone"} {
		want(t, r.send("GET", "/acr/v1/hello/"+path, ""), 400, "INVALID_PARAMETER")
	}
	for _, path := range []string{"_tags?last=gone", "_manifests?last=gone", "_tags?orderby=timedesc&last=v1", "_manifests?orderby=timeasc&last=" + digestOf(manifest)} {
		want(t, r.send("GET", "/acr/v1/hello/"+path, ""), 200, "")
	}
	want(t, r.send("GET", "/acr/v1/nobody/_tags?orderby=timedesc&last=gone", ""), 404, "NAME_UNKNOWN")
}

// Pages of tags meet neither twice nor never, in any order.
func TestTagPages(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "hello", "t00", "layer")
	all := map[string]bool{"t00": true}
	for i := 1; i < 23; i++ {
		tag := fmt.Sprintf("t%02d", i)
		all[tag] = true
		want(t, r.send("PUT", "/v2/hello/manifests/"+tag, manifest, "Content-Type", imageType), 201, "")
	}
	for _, start := range []string{"/v2/hello/tags/list?n=5", "/acr/v1/hello/_tags?n=5", "/acr/v1/hello/_tags?n=5&orderby=timeasc", "/acr/v1/hello/_tags?n=5&orderby=timedesc", "/acr/v1/hello/_tags?n=23", "/v2/hello/tags/list"} {
		seen := map[string]bool{}
		for next := start; next != ""; {
			a := r.send("GET", next, "")
			want(t, a, 200, "")
			tags, _ := a.At("tags").([]any)
			for _, tag := range tags {
				text, ok := tag.(string)
				if !ok {
					text, _ = tag.(map[string]any)["name"].(string)
				}
				if seen[text] {
					t.Errorf("%s: %s comes twice", start, text)
				}
				seen[text] = true
			}
			_, link, _ := strings.Cut(a.Header.Get("Link"), "<")
			next, _, _ = strings.Cut(link, ">")
		}
		equal(t, seen, all)
	}
}

// A manifest shows some of its tags, by name, and says that it has more; all of them are
// listed by its digest, page by page, and no others.
func TestManyTagsOfAManifest(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	many, few := r.image(t, "hello", "t000", "layer"), r.image(t, "hello", "zz", "another")
	var all []string
	must(t, w.Content.Store.InTx(t.Context(), func(ctx context.Context) error {
		for i := range 150 {
			all = append(all, fmt.Sprintf("t%03d", i))
			if err := w.Content.Store.PutTag(ctx, reg.Name{Registry: "myregistry", Repository: "hello"}, all[i], digest.Digest(digestOf(many)), time.Now()); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, path := range []string{"_manifests", "_manifests?orderby=timedesc&n=5000", "_manifests/" + digestOf(many), "_manifests/" + digestOf(few)} {
		a := r.send("GET", "/acr/v1/hello/"+path, "")
		shown, _ := a.At("manifests").([]any)
		if one := a.At("manifest"); one != nil {
			shown = []any{one}
		}
		if len(shown) == 0 {
			t.Fatalf("%s: %s", path, a.Body)
		}
		for _, m := range shown {
			m := m.(map[string]any)
			tags, _ := m["tags"].([]any)
			switch more, there := m["moreTags"]; {
			case m["digest"] == digestOf(few) && (len(tags) != 1 || there), m["digest"] == digestOf(many) && (len(tags) != 100 || tags[0] != "t000" || tags[99] != "t099" || more != true):
				t.Errorf("%s: %d tags, %v", path, len(tags), more)
			}
		}
	}
	for _, order := range []string{"", "&orderby=timeasc", "&orderby=timedesc"} {
		var seen []string
		for next := "/acr/v1/hello/_tags?n=40&digest=" + digestOf(many) + order; next != ""; {
			a := r.send("GET", next, "")
			tags, _ := a.At("tags").([]any)
			for _, tag := range tags {
				seen = append(seen, tag.(map[string]any)["name"].(string))
			}
			_, link, _ := strings.Cut(a.Header.Get("Link"), "<")
			next, _, _ = strings.Cut(link, ">")
		}
		slices.Sort(seen)
		equal(t, seen, all)
	}
}

package mirror_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/registry"
)

// A builder's cache is an index of blobs, and of an image perhaps: all of it comes, into each
// target, and from there into others.
func TestIndexOfBlobs(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	layer, settings, inner := s.blob("layer"), s.blob(`{"layers":[]}`), s.blob("inner")
	settings.MediaType = "application/vnd.buildkit.cacheconfig.v0"
	image := s.image(t, inner)
	s.tag(s.index(t, layer, image, settings, layer), "v1")
	defer w.work()()
	if code, message := w.end(w.begin(s.host(), "team/app:v1", `},"targetTags":["mine:v1","other:v1"]`)); code != "" {
		t.Fatal(code, message)
	}
	for _, repository := range []string{"mine", "other"} {
		for content, d := range map[string]v1.Descriptor{"layer": layer, `{"layers":[]}`: settings, "inner": inner} {
			if have := w.content(repository, d.Digest); have != content {
				t.Errorf("%s: %s is %q", repository, content, have)
			}
		}
	}
	from := registry.Name{Registry: "myregistry", Repository: "mine"}
	to := registry.Name{Registry: "another1", Repository: "copy"}
	w.NewRegistry("Another1")
	_, err := w.Content.Copy(t.Context(), from, "v1", to, []string{"v1"}, "me", time.Now())
	must(t, err)
	for _, d := range []v1.Descriptor{layer, settings, inner} {
		if _, err := w.Content.Blob(t.Context(), to, d.Digest); err != nil {
			t.Errorf("the copy: %v", err)
		}
	}
	if _, err := w.Content.Pull(t.Context(), to, image.Digest.String()); err != nil {
		t.Errorf("the copy: %v", err)
	}
}

// So it is of an image in an index that the source does not have.
func TestIndexOfMissingImage(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	child := s.image(t, s.blob("layer"))
	s.tag(s.index(t, child), "v1")
	delete(s.files, child.Digest.String())
	if code, message := w.importing(s); code != "ImageIncomplete" || !strings.Contains(message, child.Digest.String()) {
		t.Errorf("%s %s", code, message)
	}
	delete(s.files, "v1")
	if code, message := w.importing(s); code != "ImageNotFound" {
		t.Errorf("%s %s", code, message)
	}
}

// What the source does not have of an index is told by its digest: the image is there.
func TestIndexOfNothing(t *testing.T) {
	for name, answers := range map[string]int{"neither": 404, "no rights": 403} {
		w, s := newWorld(t), newSource(t)
		gone := s.blob("gone")
		s.tag(s.index(t, s.blob("layer"), gone), "v1")
		s.onBlob = func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, gone.Digest.String()) {
				rw.WriteHeader(answers)
				return
			}
			_, _ = rw.Write([]byte(s.of(r)))
		}
		code, message := w.importing(s)
		told := code == "ImageIncomplete" && strings.Contains(message, gone.Digest.String())
		if told != (answers == 404) || !told && code != "SourceDenied" {
			t.Errorf("%s: %s %s", name, code, message)
		}
	}
}

package mirror_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/registry"
)

// platformImage is an image whose config says what it is for.
func (s *source) platformImage(t *testing.T, platform v1.Platform, layer string) v1.Descriptor {
	config := s.blob(`{"os":"` + platform.OS + `","architecture":"` + platform.Architecture + `"}`)
	config.MediaType = v1.MediaTypeImageConfig
	content := s.blob(layer)
	content.MediaType = v1.MediaTypeImageLayer
	d := s.manifest(t, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config, Layers: []v1.Descriptor{content}})
	d.Platform = &platform
	return d
}

// Of an image for several platforms one is imported if it is asked for, from elsewhere and
// from a registry of the installation; what is not there is not replaced by something else.
func TestPlatform(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	amd := s.platformImage(t, v1.Platform{OS: "linux", Architecture: "amd64"}, "amd")
	arm := s.platformImage(t, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, "arm")
	s.tag(s.index(t, amd, arm), "v1")
	s.tag(amd, "single")
	defer w.work()()
	tagged := func(repository, tag string) digest.Digest {
		t.Helper()
		got, err := w.Content.Tag(t.Context(), registry.Name{Registry: "myregistry", Repository: repository}, tag)
		must(t, err)
		return got.Digest
	}
	for _, test := range []struct {
		image, platform, target string
		want                    digest.Digest // empty is a refusal
	}{
		{"v1", "linux/arm64", "arm:1", arm.Digest}, {"v1", "linux/arm64/v8", "arm:2", arm.Digest}, {"v1", "linux/amd64", "amd:1", amd.Digest}, {"single", "linux/amd64", "single:1", amd.Digest},
		{"v1", "windows/amd64", "none:1", ""}, {"single", "linux/arm64", "none:2", ""}, {"v1", "linux/arm64/v7", "none:3", ""},
	} {
		code, message := w.end(w.begin(s.host(), "team/app:"+test.image, `,"platform":"`+test.platform+`"},"targetTags":["`+test.target+`"]`))
		if (code == "") != (test.want != "") {
			t.Errorf("%s for %s: %s %s", test.image, test.platform, code, message)
		} else if code == "" {
			repository, tag, _ := strings.Cut(test.target, ":")
			if got := tagged(repository, tag); got != test.want {
				t.Errorf("%s for %s is %s", test.image, test.platform, got)
			}
		}
	}
	if code, message := w.end(w.begin(s.host(), "team/app:v1", `},"targetTags":["all:1"]`)); code != "" {
		t.Fatal(code, message)
	}
	for _, test := range []struct {
		image, platform, target string
		status                  int
	}{
		{"all:1", "linux/arm64", "mine:arm", 200}, {"amd:1", "linux/amd64", "mine:amd", 200},
		{"all:1", "linux/s390x", "none:1", 400}, {"amd:1", "linux/arm64", "none:1", 400}, {"all:1", "linux", "none:1", 400}, {"all:1", "a/b/c/d", "none:1", 400},
	} {
		a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage",
			`{"source":{"resourceId":"`+w.Registry.String()+`","sourceImage":"`+test.image+`","platform":"`+test.platform+`"},"targetTags":["`+test.target+`"]}`)
		if a.Status != test.status {
			t.Errorf("%s for %s: %d %s", test.image, test.platform, a.Status, a.Body)
		}
	}
	if tagged("mine", "arm") != arm.Digest || tagged("mine", "amd") != amd.Digest {
		t.Error("another image was imported")
	}
	if _, err := w.Content.Repository(t.Context(), registry.Name{Registry: "myregistry", Repository: "none"}); err == nil {
		t.Error("a refused import left something")
	}
}

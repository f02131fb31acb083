//go:build linux

package imagestore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/dockerfile"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/secret"
)

func openRun(t *testing.T) *Run {
	t.Helper()
	s, err := OpenBlobs(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r, err := s.OpenRun(t.Context(), "run", NewRegistries(new(egress.Dialer)), func(string) (_ string, _ secret.String, _ bool) { return })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// entry is a file of an archive, or a symbolic link if it has a target.
type entry struct {
	name, content, target string
}

func archiveOf(t *testing.T, entries ...entry) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(e.content))}
		if e.target != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.target
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func configOf(t *testing.T, layers ...string) string {
	t.Helper()
	image := ocispec.Image{Platform: dockerfile.Machine()}
	for _, layer := range layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, digest.FromString(layer))
	}
	text, err := json.Marshal(image)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func unpacked(t *testing.T, packed []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

// Archives come in several forms: a layer may be there once and occur twice, and it may
// be compressed.
func TestImport(t *testing.T) {
	r := openRun(t)
	config := configOf(t, "one", "one", "two")
	name, err := reference.ParseNormalizedNamed("example/image:1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := r.Import(t.Context(), archiveOf(t,
		entry{name: "a/layer.tar", content: "one"},
		entry{name: "b/layer.tar", target: "../a/layer.tar"},
		entry{name: "blobs/two", content: packed("two")},
		entry{name: "c.json", content: config},
		entry{name: "manifest.json", content: `[{"Config":"c.json","Layers":["a/layer.tar","b/layer.tar","blobs/two"]}]`},
	), []reference.Named{name})
	if err != nil {
		t.Fatal(err)
	}
	if image.Config != digest.FromString(config) || len(image.Layers) != 3 || !image.Complete || image.Layers[0].Digest != image.Layers[1].Digest {
		t.Errorf("image %+v", image)
	}
	text, err := content.ReadBlob(r.within(t.Context()), r.store.content, image.Layers[0])
	if err != nil || unpacked(t, text) != "one" {
		t.Errorf("layer %q, error %v", text, err)
	}
	if built, ok, err := r.Built(t.Context(), name, nil); err != nil || !ok || built.Target.Digest != image.Target.Digest {
		t.Errorf("image %+v, found %v, error %v", built, ok, err)
	}
	if err := r.Verify(t.Context(), name, image); err != nil {
		t.Error(err)
	}
	outliving(t, r, image)
}

// outliving looks for an image in a later run, after the collector was there.
func outliving(t *testing.T, r *Run, image Image) {
	t.Helper()
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := r.store.OpenRun(t.Context(), "next", r.registries, r.login)
	if err != nil {
		t.Fatal(err)
	}
	again, ok, err := next.Imported(t.Context(), image.Config, nil)
	if err != nil || !ok || again.Target.Digest != image.Target.Digest || !again.Complete {
		t.Errorf("image %+v, found %v, error %v", again, ok, err)
	}
	if _, ok, err := next.Imported(t.Context(), digest.FromString("another"), nil); ok || err != nil {
		t.Errorf("found %v, error %v", ok, err)
	}
}

// What does not fit together is refused, and nothing unpacked is left.
func TestImportRefuses(t *testing.T) {
	manifest := func(config, layers string) entry {
		return entry{name: "manifest.json", content: fmt.Sprintf(`[{"Config":%q,"Layers":[%s]}]`, config, layers)}
	}
	config, layer := entry{name: "c", content: configOf(t, "one")}, entry{name: "l", content: "one"}
	for want, entries := range map[string][]entry{
		"has no manifest.json":      {config, layer},
		"has 0 images":              {{name: "manifest.json", content: "[]"}},
		"has no ../c":               {config, layer, manifest("../c", `"l"`)},
		"it has 2 layers":           {config, layer, manifest("c", `"l","l"`)},
		"as the configuration":      {config, {name: "l", content: "other"}, manifest("c", `"l"`)},
		"the configuration says":    {config, {name: "l", content: packed("other")}, manifest("c", `"l"`)},
		"reading the configuration": {{name: "c", content: "no JSON"}, layer, manifest("c", `"l"`)},
	} {
		r := openRun(t)
		if _, err := r.Import(t.Context(), archiveOf(t, entries...), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if left, _ := filepath.Glob(filepath.Join(r.store.root, archives, "*")); len(left) > 0 {
			t.Errorf("%s: %q is left", want, left)
		}
	}
}

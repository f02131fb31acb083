//go:build linux && cgo

package step_test

import (
	"archive/tar"
	"bytes"
	"io"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/acrux/acrux/internal/engine/enginetest"
)

// entry is one file of an archive.
type entry struct {
	tar.Header
	content string
}

// archive makes a tar. What the standard library refuses to write, tests write by hand.
func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		if e.Mode == 0 {
			e.Mode = 0o755
		}
		must(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// layered is the base image with one more layer.
func layered(t *testing.T, entries ...entry) v1.Image {
	t.Helper()
	content := archive(t, entries...)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	must(t, err)
	image, err := mutate.AppendLayers(base(t), layer)
	must(t, err)
	return image
}

var (
	baseOnce  sync.Once
	baseImage v1.Image
)

// base is the base image, made once.
func base(t *testing.T) v1.Image {
	t.Helper()
	baseOnce.Do(func() { baseImage = enginetest.Busybox(t) })
	return baseImage
}

// nodeLayer is a device node of the first disk.
func nodeLayer() entry {
	return entry{Header: tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Mode: 0o666, Devmajor: 254, Devminor: 0}}
}

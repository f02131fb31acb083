package imagestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Import reads an archive of one image as docker save writes it, and keeps the image
// for this run under names. Layers that the run has from a registry stay as they are
// there; others are compressed. The same image gives the same manifest each time.
func (r *Run) Import(ctx context.Context, archive io.Reader, names []reference.Named) (Image, error) {
	ctx = r.within(ctx)
	files, err := unpackArchive(r.store.root, archive)
	if err != nil {
		return Image{}, fmt.Errorf("reading an image's archive: %w", err)
	}
	defer files.remove()
	manifest, err := r.importParts(ctx, files)
	if err != nil {
		return Image{}, fmt.Errorf("taking an image over: %w", err)
	}
	target, err := r.store.writeManifest(ctx, manifest)
	if err != nil {
		return Image{}, fmt.Errorf("taking an image over: %w", err)
	}
	if err := r.store.record(ctx, images.Image{Name: builtName(manifest.Config.Digest), Target: target}); err != nil {
		return Image{}, err
	}
	return r.keep(ctx, target, names)
}

// Imported keeps an image for this run under names if it has been taken over before, by
// this run or another. The run must have the image: the digest of its configuration
// alone is no right to it.
func (r *Run) Imported(ctx context.Context, config digest.Digest, names []reference.Named) (Image, bool, error) {
	ctx = r.within(ctx)
	record, err := r.store.images.Get(ctx, builtName(config))
	if errdefs.IsNotFound(err) {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, fmt.Errorf("looking for an image: %w", err)
	}
	if err := r.store.record(ctx, record); err != nil { // it was used
		return Image{}, false, err
	}
	image, err := r.keep(ctx, record.Target, names)
	if errdefs.IsNotFound(err) { // it was collected meanwhile
		return Image{}, false, nil
	}
	return image, err == nil, err
}

// builtName is where an image that was taken over is found again, for as long as those
// that were pulled are kept.
func builtName(config digest.Digest) string {
	return cachePrefix + "built-" + config.Encoded()
}

func (r *Run) keep(ctx context.Context, target ocispec.Descriptor, names []reference.Named) (Image, error) {
	for _, name := range names {
		if err := r.store.record(ctx, images.Image{Name: r.Name(name), Target: target}); err != nil {
			return Image{}, err
		}
	}
	return r.store.read(ctx, target, matcher(nil))
}

// importParts writes configuration and layers, and makes the manifest that names them.
func (r *Run) importParts(ctx context.Context, files *archiveFiles) (ocispec.Manifest, error) {
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: images.MediaTypeDockerSchema2Manifest}
	image, err := files.image()
	if err != nil {
		return manifest, err
	}
	text, err := files.read(image.Config)
	if err != nil {
		return manifest, err
	}
	var config ocispec.Image
	if err := json.Unmarshal(text, &config); err != nil {
		return manifest, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return manifest, fmt.Errorf("it has %d layers, and its configuration names %d", len(image.Layers), len(config.RootFS.DiffIDs))
	}
	known, err := r.knownLayers(ctx)
	if err != nil {
		return manifest, err
	}
	for i, diff := range config.RootFS.DiffIDs {
		layer, ok := known[diff]
		if !ok {
			if layer, err = r.importLayer(ctx, files, image.Layers[i], diff); err != nil {
				return manifest, err
			}
			known[diff] = layer
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	manifest.Config, err = r.store.writeBlob(ctx, images.MediaTypeDockerSchema2Config, text)
	return manifest, err
}

// knownLayers are the run's layers that are in the store, by what they are
// uncompressed. That is measured: what a configuration says of its layers may be a lie.
func (r *Run) knownLayers(ctx context.Context) (map[digest.Digest]ocispec.Descriptor, error) {
	r.mu.Lock()
	var layers []ocispec.Descriptor
	for _, layer := range r.layers {
		layers = append(layers, layer)
	}
	r.mu.Unlock()
	known := map[digest.Digest]ocispec.Descriptor{}
	for _, layer := range layers {
		diff, err := images.GetDiffID(ctx, r.store.content, layer)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading layer %s: %w", layer.Digest, err)
		}
		if layer.MediaType == ocispec.MediaTypeImageLayerGzip { // the manifest is docker's
			layer.MediaType = images.MediaTypeDockerSchema2LayerGzip
		}
		layer.Annotations = nil
		known[diff] = layer
	}
	return known, nil
}

// importLayer compresses a layer into the store.
func (r *Run) importLayer(ctx context.Context, files *archiveFiles, name string, diff digest.Digest) (ocispec.Descriptor, error) {
	layer := ocispec.Descriptor{MediaType: images.MediaTypeDockerSchema2LayerGzip}
	f, err := files.open(name)
	if err != nil {
		return layer, err
	}
	defer f.Close()
	w, err := content.OpenWriter(ctx, r.store.content, content.WithRef("import-"+r.lease.ID+"-"+diff.String()))
	if err != nil {
		return layer, err
	}
	defer w.Close()
	if err := w.Truncate(0); err != nil { // what an interrupted import left
		return layer, err
	}
	counted := &counter{w: w}
	if err := compress(counted, f, diff); err != nil {
		return layer, err
	}
	layer.Digest, layer.Size = w.Digest(), counted.n
	if err := w.Commit(ctx, layer.Size, layer.Digest, content.WithLabels(map[string]string{labels.LabelUncompressed: diff.String()})); err != nil && !errdefs.IsAlreadyExists(err) {
		return layer, err
	}
	return layer, nil
}

// compress writes a layer as gzip, which it may be already, and checks that it is the
// one that the configuration names.
func compress(w io.Writer, layer *os.File, diff digest.Digest) error {
	verifier := diff.Verifier()
	packed, err := gzip.NewReader(layer)
	if err == nil {
		if _, err := io.Copy(verifier, packed); err != nil {
			return err
		}
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if packed != nil {
		_, err = io.Copy(w, layer)
	} else {
		out := gzip.NewWriter(w)
		_, err = io.Copy(io.MultiWriter(out, verifier), layer)
		err = errors.Join(err, out.Close())
	}
	if err == nil && !verifier.Verified() {
		err = fmt.Errorf("a layer is not %s, as the configuration says", diff)
	}
	return err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// writeManifest writes a manifest that keeps the collector away from what it names.
func (s *Store) writeManifest(ctx context.Context, manifest ocispec.Manifest) (ocispec.Descriptor, error) {
	text, err := json.Marshal(manifest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	names := map[string]string{"containerd.io/gc.ref.content.config": manifest.Config.Digest.String()}
	for i, layer := range manifest.Layers {
		names[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = layer.Digest.String()
	}
	return s.writeBlob(ctx, manifest.MediaType, text, content.WithLabels(names))
}

func (s *Store) writeBlob(ctx context.Context, mediaType string, text []byte, options ...content.Opt) (ocispec.Descriptor, error) {
	blob := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	return blob, content.WriteBlob(ctx, s.content, "import-"+blob.Digest.String(), bytes.NewReader(text), blob, options...)
}

package mirror

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/registry"
)

// Bounds of what one import takes; manifests are kept in memory while their blobs are
// fetched.
const (
	maxManifests     = 2000
	maxManifestBytes = 64 << 20
)

// content is what an image consists of.
type content struct {
	manifests []*remote.Descriptor // each once, and after those it names; the last is the image itself
	blobs     []v1.Descriptor      // each once

	seen  map[v1.Hash]bool
	bytes int64 // of manifests
}

// survey fetches the manifests of the source, or of its part for one platform, from the
// top down.
func (f *fetcher) survey(ctx context.Context) (*content, error) {
	c := &content{seen: map[v1.Hash]bool{}}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithTransport(f.signedIn)}
	top, err := remote.Get(f.source, opts...)
	if err != nil {
		return nil, err
	}
	if top, err = f.choose(top, opts); err != nil {
		return nil, err
	}
	return c, f.add(c, top, opts)
}

// add adds a manifest and what it names.
func (f *fetcher) add(c *content, m *remote.Descriptor, opts []remote.Option) error {
	c.seen[m.Digest] = true
	c.bytes += int64(len(m.Manifest))
	switch {
	case len(m.Manifest) > registry.MaxManifest:
		return invalid("source.sourceImage", "The manifest %s has %d bytes; at most %d are taken.", m.Digest, len(m.Manifest), registry.MaxManifest)
	case len(c.seen) > maxManifests || c.bytes > maxManifestBytes:
		return invalid("source.sourceImage", "The image has more than %d manifests, or they have more than %d bytes.", maxManifests, maxManifestBytes)
	case m.MediaType.IsIndex():
		if err := f.addChildren(c, m, opts); err != nil {
			return err
		}
	case m.MediaType.IsImage():
		if err := c.addBlobs(m); err != nil {
			return err
		}
	default:
		return invalid("source.sourceImage", "The source has a manifest of type '%s', which cannot be imported.", m.MediaType)
	}
	c.manifests = append(c.manifests, m)
	return nil
}

func (f *fetcher) addChildren(c *content, m *remote.Descriptor, opts []remote.Option) error {
	index, err := v1.ParseIndexManifest(bytes.NewReader(m.Manifest))
	if err != nil {
		return invalid("source.sourceImage", "The index %s cannot be read: %v.", m.Digest, err)
	}
	for _, child := range index.Manifests {
		if c.seen[child.Digest] {
			continue
		}
		fetched, err := remote.Get(f.source.Context().Digest(child.Digest.String()), opts...)
		switch {
		case status(err) == http.StatusNotFound && (child.MediaType.IsIndex() || child.MediaType.IsImage()):
			err = errors.Join(&registry.MissingError{Digest: digest.Digest(child.Digest.String())}, err)
		case status(err) == http.StatusNotFound: // builders keep caches as an index of blobs
			err = c.addBlob(m, child)
		case err == nil:
			err = f.add(c, fetched, opts)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addBlobs adds what an image consists of, without what is not to be had by its own word.
func (c *content) addBlobs(m *remote.Descriptor) error {
	manifest, err := v1.ParseManifest(bytes.NewReader(m.Manifest))
	if err != nil {
		return invalid("source.sourceImage", "The manifest %s cannot be read: %v.", m.Digest, err)
	}
	for _, part := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if !part.MediaType.IsDistributable() || c.seen[part.Digest] {
			continue
		}
		if err := c.addBlob(m, part); err != nil {
			return err
		}
	}
	return nil
}

func (c *content) addBlob(of *remote.Descriptor, part v1.Descriptor) error {
	if part.Size < 0 {
		return invalid("source.sourceImage", "The manifest %s says that %s has %d bytes.", of.Digest, part.Digest, part.Size)
	}
	c.seen[part.Digest] = true
	c.blobs = append(c.blobs, part)
	return nil
}

package imagestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image as far as its manifest and configuration tell.
type Image struct {
	Target   ocispec.Descriptor // what the name refers to: an index or a manifest
	Manifest ocispec.Descriptor // the manifest for the platform that was asked for
	Config   digest.Digest      // docker's image ID
	JSON     []byte             // the configuration as stored
	Layers   []ocispec.Descriptor
	Complete bool // all layers are in the store
}

// Resolve asks the registry what image is, with the run's credentials, and fetches
// manifest and configuration, but no layers. A nil platform is this machine's. A
// registry that refuses gives a *Refusal.
func (r *Run) Resolve(ctx context.Context, image reference.Named, platform *ocispec.Platform) (Image, error) {
	ctx = r.within(ctx)
	resolver := r.resolver(nil)
	_, target, err := resolver.Resolve(ctx, image.String())
	if err != nil {
		return Image{}, r.refused(ctx, image, pulling, err)
	}
	if err := r.fetch(ctx, resolver, image, target, matcher(platform), false); err != nil {
		return Image{}, r.refused(ctx, image, pulling, err)
	}
	found, err := r.store.read(ctx, target, matcher(platform))
	if err != nil {
		return Image{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, layer := range found.Layers {
		r.sources[layer.Digest] = append(r.sources[layer.Digest], image)
		r.layers[layer.Digest] = layer
	}
	return found, nil
}

// fetch fetches what is missing of target for one platform, with or without layers.
func (r *Run) fetch(ctx context.Context, resolver remotes.Resolver, image reference.Named, target ocispec.Descriptor, platform platforms.MatchComparer, layers bool) error {
	fetcher, err := resolver.Fetcher(ctx, image.String())
	if err != nil {
		return err
	}
	// BuildKit takes a manifest from the store only if it knows where it came from.
	source, err := docker.AppendDistributionSourceLabel(r.store.content, image.String())
	if err != nil {
		return err
	}
	skip := func(_ context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if !layers && images.IsLayerType(desc.MediaType) {
			return nil, images.ErrSkipDesc
		}
		return nil, nil
	}
	children := images.LimitManifests(images.FilterPlatforms(images.ChildrenHandler(r.store.content), platform), platform, 1)
	return images.Dispatch(ctx, images.Handlers(
		images.HandlerFunc(skip),
		remotes.FetchHandler(r.store.content, fetcher),
		source,
		images.SetChildrenLabels(r.store.content, children), // keep the collector away from them
	), nil, target)
}

// read reads manifest and configuration from the store.
func (s *Store) read(ctx context.Context, target ocispec.Descriptor, platform platforms.MatchComparer) (Image, error) {
	image := Image{Target: target}
	var err error
	if image.Manifest, err = s.manifest(ctx, target, platform); err != nil {
		return Image{}, err
	}
	manifest, err := images.Manifest(ctx, s.content, image.Manifest, platform)
	if err != nil {
		return Image{}, fmt.Errorf("reading a manifest: %w", err)
	}
	if image.JSON, err = content.ReadBlob(ctx, s.content, manifest.Config); err != nil {
		return Image{}, fmt.Errorf("reading an image's configuration: %w", err)
	}
	image.Config, image.Layers = manifest.Config.Digest, manifest.Layers
	image.Complete = true
	for _, layer := range image.Layers {
		if _, err := s.content.Info(ctx, layer.Digest); err != nil {
			image.Complete = false
		}
	}
	return image, nil
}

// manifest is the best manifest for the platform in target, which may be one itself.
func (s *Store) manifest(ctx context.Context, target ocispec.Descriptor, platform platforms.MatchComparer) (ocispec.Descriptor, error) {
	if images.IsManifestType(target.MediaType) {
		return target, nil
	}
	handler := images.LimitManifests(images.FilterPlatforms(images.ChildrenHandler(s.content), platform), platform, 1)
	children, err := handler(ctx, target)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("reading an index: %w", err)
	}
	if len(children) == 0 {
		return ocispec.Descriptor{}, ErrNoPlatform
	}
	return s.manifest(ctx, children[0], platform)
}

// ErrNoPlatform says that an image does not exist for the platform.
var ErrNoPlatform = errors.New("no matching manifest for this platform in the manifest list entries")

// Read returns what the run keeps under image.
func (r *Run) Read(ctx context.Context, image reference.Named, platform *ocispec.Platform) (_ Image, ok bool, err error) {
	target, ok, err := r.Local(ctx, image)
	if err != nil || !ok {
		return Image{}, false, err
	}
	read, err := r.store.read(r.within(ctx), target, matcher(platform))
	if errdefs.IsNotFound(err) {
		return Image{}, false, nil
	}
	return read, err == nil, err
}

// Built is Read for images that the run has built itself. Those it pulled are left
// out: who asks for one of them must ask the registry.
func (r *Run) Built(ctx context.Context, image reference.Named, platform *ocispec.Platform) (Image, bool, error) {
	record, err := r.store.images.Get(r.within(ctx), r.Name(image))
	if errdefs.IsNotFound(err) || err == nil && record.Labels[pulledLabel] != "" {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, fmt.Errorf("looking up %s: %w", reference.FamiliarString(image), err)
	}
	return r.Read(ctx, image, platform)
}

// config decodes the configuration.
func (i Image) config() (ocispec.Image, error) {
	var config ocispec.Image
	if err := json.Unmarshal(i.JSON, &config); err != nil {
		return config, &Broken{fmt.Errorf("reading an image's configuration: %w", err)}
	}
	return config, nil
}

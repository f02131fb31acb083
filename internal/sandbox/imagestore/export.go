package imagestore

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/distribution/reference"
)

// Fetch fetches what the store lacks of an image that the run has resolved under name,
// and has it outlive the run. A registry that refuses gives a *Refusal.
func (r *Run) Fetch(ctx context.Context, name reference.Named, image Image) error {
	ctx = r.within(ctx)
	if err := r.fetch(ctx, r.resolver(nil), name, image.Manifest, matcher(nil), true); err != nil {
		return r.refused(ctx, name, pulling, err)
	}
	return r.store.remember(ctx, image.Target)
}

// Verify checks that an image whose layers are in the store has the ones that its
// configuration names. A container engine goes by the configuration: an image that names
// the layers of another, and brings none of them, would be that other one there. If it
// has not, the error is a *Refusal.
func (r *Run) Verify(ctx context.Context, name reference.Named, image Image) error {
	config, err := image.config()
	if err != nil {
		return err
	}
	refusal := &Refusal{Image: reference.FamiliarString(name), Text: []string{
		fmt.Sprintf("%s is damaged: its layers are not those that its configuration names", reference.FamiliarString(name)),
	}}
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return refusal
	}
	for i, layer := range image.Layers {
		diff, err := images.GetDiffID(r.within(ctx), r.store.content, layer)
		if err != nil {
			return fmt.Errorf("reading layer %s: %w", layer.Digest, err)
		}
		if diff != config.RootFS.DiffIDs[i] {
			return refusal
		}
	}
	return nil
}

// Export writes an image whose layers are in the store as an archive that docker load
// reads, to be known there as name.
func (r *Run) Export(ctx context.Context, image Image, name string, w io.Writer) error {
	if err := archive.Export(r.within(ctx), r.store.content, w, archive.WithManifest(image.Manifest, name), archive.WithAllPlatforms()); err != nil {
		return fmt.Errorf("writing an image's archive: %w", err)
	}
	return nil
}

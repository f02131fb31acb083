//go:build linux

package imagestore

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/rootfs"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// Rootfs is a writable copy of an image's files, mounted on a directory.
type Rootfs struct {
	Config ocispec.ImageConfig

	run *Run
	key string
	dir string
}

// Mount unpacks an image that the run has read, if that was not done before, and
// mounts a fresh writable copy of it on dir, which must be empty, as it looks through
// view. The key must be unique in the store. The caller removes the Rootfs. What is the
// image's own fault is a *Broken.
func (r *Run) Mount(ctx context.Context, image Image, key, dir string, view *userns.View) (*Rootfs, error) {
	return r.mount(ctx, image, &Rootfs{run: r, key: key, dir: dir}, view, r.store.snapshots.Prepare)
}

// Look mounts an image's files on dir as they are, to be read only. The rest is as with
// Mount.
func (r *Run) Look(ctx context.Context, image Image, key, dir string) (*Rootfs, error) {
	return r.mount(ctx, image, &Rootfs{run: r, key: key, dir: dir}, nil, r.store.snapshots.View)
}

type snapshot func(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error)

func (r *Run) mount(ctx context.Context, image Image, fs *Rootfs, view *userns.View, make snapshot) (*Rootfs, error) {
	ctx = r.within(ctx)
	config, err := image.config()
	if err != nil {
		return nil, err
	}
	if err := r.store.unpack(ctx, image, config); err != nil {
		return nil, err
	}
	mounts, err := make(ctx, fs.key, identity.ChainID(config.RootFS.DiffIDs).String())
	if err != nil {
		return nil, fmt.Errorf("making a container's file system: %w", err)
	}
	fs.Config = config.Config
	if err := view.Mount(mounts, fs.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting a container's file system: %w", err), fs.Remove(context.WithoutCancel(ctx)))
	}
	return fs, nil
}

// Usage is how many bytes a container has written to its files, by the key of its Rootfs.
func (r *Run) Usage(ctx context.Context, key string) (int64, error) {
	usage, err := r.store.snapshots.Usage(r.within(ctx), key)
	if err != nil {
		return 0, fmt.Errorf("measuring a container's files: %w", err)
	}
	return usage.Size, nil
}

// Remove unmounts the files and throws them away.
func (f *Rootfs) Remove(ctx context.Context) error {
	if err := mount.UnmountAll(f.dir, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unmounting a container's file system: %w", err)
	}
	if err := f.run.store.snapshots.Remove(f.run.within(ctx), f.key); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing a container's file system: %w", err)
	}
	return nil
}

// unpack applies the layers that no one has applied before.
func (s *Store) unpack(ctx context.Context, image Image, config ocispec.Image) error {
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return &Broken{fmt.Errorf("the image has %d layers but its configuration names %d", len(image.Layers), len(config.RootFS.DiffIDs))}
	}
	layers := make([]rootfs.Layer, len(image.Layers))
	for i, blob := range image.Layers {
		layers[i] = rootfs.Layer{
			Blob: blob,
			Diff: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: config.RootFS.DiffIDs[i]},
		}
	}
	chain, err := rootfs.ApplyLayers(ctx, layers, s.snapshots, s.applier)
	if err != nil {
		return unpackError(ctx, err)
	}
	// While the configuration is kept, so are the unpacked layers.
	label := "containerd.io/gc.ref.snapshot." + Snapshotter
	info := content.Info{Digest: image.Config, Labels: map[string]string{label: chain.String()}}
	if _, err := s.content.Update(ctx, info, "labels."+label); err != nil {
		return fmt.Errorf("noting an unpacked image: %w", err)
	}
	return nil
}

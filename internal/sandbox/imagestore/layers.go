//go:build linux

package imagestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/errdefs"
)

// Open opens the store in root and makes it if need be. No two processes may use one
// root at the same time. It removes what runs of a killed process held on to.
func Open(ctx context.Context, root string) (*Store, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("making the image store: %w", err)
	}
	files, err := overlay.NewSnapshotter(filepath.Join(root, "snapshots"), overlay.AsynchronousRemove)
	if err != nil {
		return nil, fmt.Errorf("opening the layers: %w", err)
	}
	if err := removeUnknown(ctx, files, filepath.Join(root, "snapshots", "snapshots")); err != nil {
		return nil, errors.Join(fmt.Errorf("cleaning up the layers: %w", err), files.Close())
	}
	return open(ctx, root, files)
}

// removeUnknown removes the directories of layers that nobody knows. A process that is killed
// while it makes one leaves its directory; the next one has that number, and cannot be made.
func removeUnknown(ctx context.Context, files snapshots.Snapshotter, dir string) error {
	err := files.(snapshots.Cleaner).Cleanup(ctx)
	if !errdefs.IsNotFound(err) {
		return err
	}
	// There has never been a layer, which Cleanup of containerd 2.4.2 takes for an error.
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o700)
}

//go:build linux

package imagestore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
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
	return open(ctx, root, files)
}

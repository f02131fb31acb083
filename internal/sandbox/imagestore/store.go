package imagestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	bolt "go.etcd.io/bbolt"
)

// Namespace is the one containerd namespace that everything here lives in. BuildKit
// insists on its name.
const Namespace = "buildkit"

// Snapshotter is the name of the snapshotter in the metadata database.
const Snapshotter = "overlayfs"

// Store is the images of an executor. It is safe for concurrent use.
type Store struct {
	root     string
	db       *bolt.DB
	metadata *metadata.DB
	files    snapshots.Snapshotter // beneath the metadata

	content   content.Store
	images    images.Store
	leases    leases.Manager
	snapshots snapshots.Snapshotter
	applier   diff.Applier
}

// OpenBlobs opens a store in root that keeps blobs and names, but unpacks nothing: for
// whoever runs images elsewhere. It makes the store if need be. No two processes may use
// one root at the same time. It removes what runs of a killed process held on to.
func OpenBlobs(ctx context.Context, root string) (*Store, error) {
	return open(ctx, root, nil)
}

// open opens a store whose layers are unpacked in files, if that is not nil.
func open(ctx context.Context, root string, files snapshots.Snapshotter) (_ *Store, err error) {
	s := &Store{root: root, files: files}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("making the image store: %w", err)
	}
	blobs, err := local.NewStore(filepath.Join(root, "content"))
	if err != nil {
		return nil, fmt.Errorf("opening the blobs: %w", err)
	}
	options := *bolt.DefaultOptions
	options.FreelistType, options.NoFreelistSync = bolt.FreelistMapType, true
	options.Timeout = time.Second // another process that has it keeps it
	if s.db, err = bolt.Open(filepath.Join(root, "metadata.db"), 0o600, &options); err != nil {
		return nil, fmt.Errorf("opening the image database, which one process at a time has: %w", err)
	}
	layers := map[string]snapshots.Snapshotter{}
	if files != nil {
		layers[Snapshotter] = files
	}
	s.metadata = metadata.NewDB(s.db, blobs, layers)
	if err := s.metadata.Init(ctx); err != nil {
		return nil, fmt.Errorf("preparing the image database: %w", err)
	}
	s.content = s.metadata.ContentStore()
	s.images = metadata.NewImageStore(s.metadata)
	s.leases = metadata.NewLeaseManager(s.metadata)
	s.snapshots = s.metadata.Snapshotter(Snapshotter)
	s.applier = apply.NewFileSystemApplier(s.content)
	return s, s.cleanup(within(ctx))
}

// Close closes the store. Nothing may use it any more.
func (s *Store) Close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.files != nil {
		errs = append(errs, s.files.Close())
	}
	return errors.Join(errs...)
}

// Metadata is the database beneath, for BuildKit. It belongs to the store.
func (s *Store) Metadata() *metadata.DB { return s.metadata }

// Collect removes what nothing refers to any more.
func (s *Store) Collect(ctx context.Context) error {
	if _, err := s.metadata.GarbageCollect(within(ctx)); err != nil {
		return fmt.Errorf("collecting unused layers and blobs: %w", err)
	}
	return nil
}

func within(ctx context.Context) context.Context { return namespaces.WithNamespace(ctx, Namespace) }

// runLabel marks the leases of runs.
const runLabel = "acrux.run"

// cleanup ends what the runs of a former process held.
func (s *Store) cleanup(ctx context.Context) error {
	if err := os.RemoveAll(filepath.Join(s.root, archives)); err != nil {
		return fmt.Errorf("removing unpacked archives: %w", err)
	}
	left, err := s.leases.List(ctx, `labels."`+runLabel+`"`)
	if err != nil {
		return fmt.Errorf("listing left leases: %w", err)
	}
	for _, lease := range left {
		if err := s.leases.Delete(ctx, lease); err != nil {
			return fmt.Errorf("removing a left lease: %w", err)
		}
	}
	return s.removeNames(ctx, func(name string) bool { return strings.Contains(name, runDomain+"/") })
}

func (s *Store) removeNames(ctx context.Context, which func(string) bool) error {
	all, err := s.images.List(ctx)
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	for _, image := range all {
		if !which(image.Name) {
			continue
		}
		if err := s.images.Delete(ctx, image.Name); err != nil {
			return fmt.Errorf("removing the name of an image: %w", err)
		}
	}
	return nil
}

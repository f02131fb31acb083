//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/continuity/fs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// volume is a volume of the run.
type volume struct {
	dir    string
	secret bool // in memory, and read-only to steps
}

// CreateVolume implements engine.Scope. The files lie in a file system in memory that
// is mounted for as long as the run lives.
func (s *Scope) CreateVolume(ctx context.Context, name string, files map[string][]byte) error {
	_, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.volumes[name] != nil {
		return fmt.Errorf("volume %s already exists", name)
	}
	v, err := s.makeVolume(name)
	if err != nil {
		return err
	}
	root := s.lodging.ids().First // not every kernel shows memory with other IDs
	options := fmt.Sprintf("mode=0755,uid=%d,gid=%d", root, root)
	if err := unix.Mount("tmpfs", v.dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mounting volume %s: %w", name, err)
	}
	v.secret = true
	return v.fill(name, files, root)
}

// makeVolume makes an empty directory for a volume. The caller holds the lock.
func (s *Scope) makeVolume(name string) (*volume, error) {
	v := &volume{dir: filepath.Join(s.dir, fmt.Sprintf("volume%d", s.volumesMade))}
	s.volumesMade++ // the directory's name is not given twice, also if a step removes volumes
	if err := os.Mkdir(v.dir, 0o755); err != nil {
		return nil, fmt.Errorf("making volume %s: %w", name, err)
	}
	s.volumes[name] = v
	return v, nil
}

// fill writes the files of a volume, which are to be owned by an ID.
func (v *volume) fill(name string, files map[string][]byte, owner int) error {
	root, err := os.OpenRoot(v.dir)
	if err != nil {
		return fmt.Errorf("opening volume %s: %w", name, err)
	}
	defer root.Close()
	for file, content := range files {
		if err := root.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("filling volume %s: %w", name, err)
		}
		if err := root.WriteFile(file, content, 0o444); err != nil {
			return fmt.Errorf("filling volume %s: %w", name, err)
		}
		for at := file; at != "."; at = filepath.Dir(at) {
			if err := root.Lchown(at, owner, owner); err != nil {
				return fmt.Errorf("filling volume %s: %w", name, err)
			}
		}
	}
	return nil
}

// close unmounts what is mounted; directories go with the scope's.
func (v *volume) close() error {
	if !v.secret {
		return nil
	}
	if err := unix.Unmount(v.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting a volume: %w", err)
	}
	return nil
}

// volume is the mount of a volume into the container, whose root file system is there
// already. One that nobody has made is made with what the image has at the place, as
// docker does.
func (b *bundle) volume(ctx context.Context, image imagestore.Image, m engine.Mount) (specs.Mount, error) {
	if !filepath.IsAbs(m.Path) {
		return specs.Mount{}, daemonError("invalid mount path: '%s' mount path must be absolute", m.Path)
	}
	mode := "rw"
	if m.ReadOnly {
		mode = "ro"
	}
	switch m.Volume {
	case engine.WorkspaceVolume:
		return b.bind(b.scope.spec.Workspace, m.Path, mode), nil
	case engine.HomeVolume:
		return b.bind(b.scope.spec.Home, m.Path, mode), nil
	}
	b.scope.mu.Lock()
	defer b.scope.mu.Unlock()
	v := b.scope.volumes[m.Volume]
	if v == nil {
		var err error
		if v, err = b.scope.makeVolume(m.Volume); err != nil {
			return specs.Mount{}, err
		}
		if err := b.seed(ctx, image, v, m.Path); err != nil {
			delete(b.scope.volumes, m.Volume) // half of it is none
			return specs.Mount{}, errors.Join(err, os.RemoveAll(v.dir))
		}
	}
	if v.secret {
		return specs.Mount{Type: "bind", Source: v.dir, Destination: m.Path, Options: []string{"rbind", "ro"}}, nil
	}
	return b.bind(v.dir, m.Path, mode), nil
}

// seed copies what the image has at a path. The path may lead through links of the
// image's, never out of it. It looks at the image itself: the container's files may be
// shown with other owners.
func (b *bundle) seed(ctx context.Context, image imagestore.Image, v *volume, path string) (err error) {
	dir := filepath.Join(b.dir, "image")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("filling a volume: %w", err)
	}
	files, err := b.scope.images.Look(ctx, image, b.id+"-image", dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Remove(context.WithoutCancel(ctx))) }()
	source, err := fs.RootPath(dir, path)
	if err != nil {
		return fmt.Errorf("filling a volume: %w", err)
	}
	info, err := os.Lstat(source)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("filling a volume: %w", err)
	case !info.IsDir():
		return daemonError("the volume cannot be mounted at %s: the image has a file there", path)
	}
	if err := fs.CopyDir(v.dir, source); err != nil {
		return fmt.Errorf("filling a volume: %w", err)
	}
	return nil
}

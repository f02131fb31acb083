package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// volume is a volume of the run: a directory in memory that the engine sees as well, or
// else one of the engine's, on its disk. The latter is made when a container first wants
// it: filling it takes a container, and that an image.
type volume struct {
	dir string // in memory; empty if the volume is the engine's

	name    string // in the engine
	archive []byte // its files

	making sync.Mutex
	made   bool
}

// CreateVolume implements engine.Scope.
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
	v := &volume{name: s.names.volume(name)}
	if s.executor.secrets != "" {
		v.dir = filepath.Join(s.secrets(), strconv.Itoa(len(s.volumes)))
		err = writeFiles(v.dir, files)
	} else {
		v.archive, err = pack(files)
	}
	if err != nil {
		return fmt.Errorf("filling volume %s: %w", name, err)
	}
	s.volumes[name] = v
	return nil
}

// secrets is where the run's volumes are in memory.
func (s *Scope) secrets() string { return filepath.Join(s.executor.secrets, s.spec.ID) }

// writeFiles writes files that everyone may read who is let into dir.
func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, content := range files {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, content, 0o444); err != nil {
			return err
		}
	}
	return nil
}

// mount mounts the volume at a path of a container of image.
func (v *volume) mount(ctx context.Context, s *Scope, image, target string) (mount.Mount, error) {
	if v.dir != "" {
		return mount.Mount{Type: mount.TypeBind, Source: v.dir, Target: target, ReadOnly: true}, nil
	}
	return mount.Mount{
		Type: mount.TypeVolume, Source: v.name, Target: target, ReadOnly: true,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true},
	}, v.make(ctx, s, image)
}

// pack makes a tar archive of files that everyone may read.
func pack(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{".": true}
	var dirs func(dir string) error
	dirs = func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		if err := dirs(path.Dir(dir)); err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		local := path.Join("/", name)[1:] // nothing leads out of the volume
		if err := dirs(path.Dir(local)); err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: local, Mode: 0o444, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
}

// make makes the volume in the engine, with its files. They go in by way of a container
// of any image, which is never started.
func (v *volume) make(ctx context.Context, s *Scope, image string) error {
	v.making.Lock()
	defer v.making.Unlock()
	if v.made {
		return nil
	}
	engine := s.executor.engine
	if _, err := engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.name, Driver: "local", Labels: s.names.labels()}); err != nil {
		return fmt.Errorf("making a volume: %w", err)
	}
	const dir = "/volume"
	helper, err := engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: image, Cmd: []string{"never-started"}, Labels: s.names.labels()},
		HostConfig: &container.HostConfig{NetworkMode: "none", Mounts: []mount.Mount{
			{Type: mount.TypeVolume, Source: v.name, Target: dir, VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
		}},
	})
	if err != nil {
		return fmt.Errorf("filling a volume: %w", err)
	}
	_, err = engine.CopyToContainer(ctx, helper.ID, client.CopyToContainerOptions{DestinationPath: dir, Content: bytes.NewReader(v.archive)})
	if err != nil {
		return fmt.Errorf("filling a volume: %w", err) // the helper goes with the run
	}
	v.made = true
	return s.executor.removeContainer(ctx, helper.ID)
}

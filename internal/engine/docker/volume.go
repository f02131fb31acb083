package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// volume is a volume of the run. It is made in the engine when a container first wants
// it: filling it takes a container, and that an image.
type volume struct {
	name    string // in the engine
	archive []byte // its files

	making sync.Mutex
	made   bool
}

// CreateVolume implements engine.Scope. In the engine the files lie on its disk until
// the run ends.
func (s *Scope) CreateVolume(ctx context.Context, name string, files map[string][]byte) error {
	_, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	archive, err := pack(files)
	if err != nil {
		return fmt.Errorf("filling volume %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.volumes[name] != nil {
		return fmt.Errorf("volume %s already exists", name)
	}
	s.volumes[name] = &volume{name: s.names.volume(name), archive: archive}
	return nil
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

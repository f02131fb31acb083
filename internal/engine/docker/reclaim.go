package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// reclaim gives the directories below dir that steps have made to uid and gid, so that
// the caller, who is not root, can remove what steps wrote as root. The engine does it, by
// unpacking an archive of directories over those that are there, by way of a container
// of image that is never started.
func (s *Scope) reclaim(ctx context.Context, image, dir string, uid, gid int) error {
	const target = "/reclaimed"
	engine := s.executor.engine
	helper, err := engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: image, Cmd: []string{"never-started"}, Labels: s.names.labels()},
		HostConfig: &container.HostConfig{NetworkMode: "none", Mounts: []mount.Mount{
			{Type: mount.TypeBind, Source: dir, Target: target},
		}},
	})
	if err != nil {
		return fmt.Errorf("taking over what steps wrote: %w", err)
	}
	var before []string
	for { // a directory that could not be looked into may have others
		below := directories(dir)
		if slices.Equal(below, before) {
			return s.executor.removeContainer(ctx, helper.ID)
		}
		archive, err := packDirectories(below, uid, gid)
		if err != nil {
			return fmt.Errorf("taking over what steps wrote: %w", err)
		}
		if _, err := engine.CopyToContainer(ctx, helper.ID, client.CopyToContainerOptions{DestinationPath: target, Content: archive}); err != nil {
			return fmt.Errorf("taking over what steps wrote: %w", err)
		}
		before = below
	}
}

// directories lists those below dir, as far as they can be looked into, in slashed form.
func directories(dir string) []string {
	var all []string
	filepath.WalkDir(dir, func(p string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && p != dir {
			below, _ := filepath.Rel(dir, p) // it is below
			all = append(all, filepath.ToSlash(below))
		}
		return nil // what cannot be read yet can be in the next round
	})
	return all
}

func packDirectories(names []string, uid, gid int) (*bytes.Buffer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path.Clean(name) + "/", Mode: 0o755, Uid: uid, Gid: gid}); err != nil {
			return nil, err
		}
	}
	return &b, w.Close()
}

// reclaimAll reclaims the run's directories, if that takes the engine's help.
func (s *Scope) reclaimAll(ctx context.Context) error {
	s.mu.Lock()
	image := s.anyImage
	s.mu.Unlock()
	uid, gid := os.Geteuid(), os.Getegid()
	if image == "" || uid == 0 || runtime.GOOS != "linux" { // elsewhere the engine's files are this user's anyway
		return nil
	}
	if s.executor.rootless {
		uid, gid = 0, 0 // there, that is who runs the engine
	}
	for _, dir := range []string{s.spec.Workspace, s.spec.Home} {
		if dir == "" {
			continue
		}
		if err := s.reclaim(ctx, image, dir, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

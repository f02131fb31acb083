//go:build linux

package userns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// Mount mounts layers on target so that they are seen through the view. An overlay keeps
// for its work the IDs of whoever mounts it, which must be some that the layers know.
func (v *View) Mount(mounts []mount.Mount, target string) error {
	if v == nil {
		return mount.All(mounts, target)
	}
	for _, m := range v.Mounts(mounts) {
		do := func() error { return mount.All([]mount.Mount{m}, target) }
		if m.Type == "overlay" {
			do = func() error { return v.overlay(m, target) }
		}
		if err := v.ids.as(do); err != nil {
			return err
		}
	}
	return nil
}

// overlay mounts an overlay from a thread that ends soon. Its layers are named from a
// directory that they have in common: the kernel takes a page of options, and many layers
// have longer paths than that.
func (v *View) overlay(m mount.Mount, target string) error {
	dirs := layers(m.Options)
	if len(dirs) == 0 {
		return errors.New("an overlay without layers")
	}
	top := filepath.Dir(dirs[0])
	elsewhere := func(dir string) bool { return !strings.HasPrefix(dir, top+"/") }
	for top != "/" && slices.ContainsFunc(dirs, elsewhere) {
		top = filepath.Dir(top)
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Chdir(top); err != nil {
		return &os.PathError{Op: "chdir", Path: top, Err: err}
	}
	var flags uintptr
	var data []string
	for _, option := range m.Options {
		switch option {
		case "ro":
			flags |= unix.MS_RDONLY
		case "rw":
		default:
			data = append(data, strings.ReplaceAll(option, top+"/", ""))
		}
	}
	if err := unix.Mount("overlay", target, "overlay", flags, strings.Join(data, ",")); err != nil {
		return fmt.Errorf("mounting an overlay of %d directories: %w", len(dirs), err)
	}
	return nil
}

// layers are the directories that an overlay's options name.
func layers(options []string) []string {
	var dirs []string
	for _, option := range options {
		if key, value, ok := strings.Cut(option, "="); ok && names(key) {
			dirs = append(dirs, strings.Split(value, ":")...)
		}
	}
	return dirs
}

// names reports whether an option of an overlay names directories.
func names(key string) bool { return key == "lowerdir" || key == "upperdir" || key == "workdir" }

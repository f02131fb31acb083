//go:build linux

package userns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// View is a directory as it looks from inside a user namespace: what root owns on disk is
// root's there, and what is made through it belongs on disk to the IDs that the maker has
// inside. A nil View is the directory itself. It is safe for concurrent use.
type View struct {
	ids         IDs
	source, dir string
}

// NewView mounts the view of source on dir, which it makes. What is mounted below source
// is not seen through it. The caller closes the view, after what was mounted below it.
func NewView(source, dir string, lease Lease) (*View, error) {
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, fmt.Errorf("making a directory for a view: %w", err)
	}
	v := &View{ids: lease.IDs, source: filepath.Clean(source), dir: dir}
	if err := mapped(source, dir, lease.Namespace); err != nil {
		return nil, errors.Join(fmt.Errorf("showing %s with other user IDs: %w", source, err), os.Remove(dir))
	}
	return v, nil
}

func mapped(source, dir string, namespace *os.File) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	attr := &unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_IDMAP,
		Propagation: unix.MS_PRIVATE,
		Userns_fd:   uint64(namespace.Fd()),
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// Close unmounts the view.
func (v *View) Close() error {
	if v == nil {
		return nil
	}
	if err := unix.Unmount(v.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting a view: %w", err)
	}
	return os.Remove(v.dir)
}

// IDs are those that the view translates to.
func (v *View) IDs() IDs {
	if v == nil {
		return IDs{}
	}
	return v.ids
}

// Path is where something below the view's source is seen. Other paths stay as they are.
func (v *View) Path(path string) string {
	if v.Shows(path) {
		return v.dir + strings.TrimPrefix(path, v.source)
	}
	return path
}

// Shows reports whether path lies below the view's source.
func (v *View) Shows(path string) bool {
	return v != nil && (path == v.source || strings.HasPrefix(path, v.source+"/"))
}

// Sees reports whether path is where something of the view's source is seen.
func (v *View) Sees(path string) bool {
	return v != nil && (path == v.dir || strings.HasPrefix(path, v.dir+"/"))
}

// Mounts are mounts whose layers are looked at through the view.
func (v *View) Mounts(mounts []mount.Mount) []mount.Mount {
	if v == nil {
		return mounts
	}
	shown := make([]mount.Mount, len(mounts))
	for i, m := range mounts {
		shown[i] = m
		shown[i].Source = v.Path(m.Source)
		shown[i].Options = make([]string, len(m.Options))
		for j, option := range m.Options {
			shown[i].Options[j] = v.option(option)
		}
	}
	return shown
}

// option replaces the paths in an option of an overlay.
func (v *View) option(option string) string {
	key, value, ok := strings.Cut(option, "=")
	if !ok || !names(key) {
		return option
	}
	dirs := strings.Split(value, ":")
	for i, dir := range dirs {
		dirs[i] = v.Path(dir)
	}
	return key + "=" + strings.Join(dirs, ":")
}

// As does something as root of the view's namespace, which is needed to make what is seen
// through it. What it starts in other goroutines is done as somebody else.
func (v *View) As(do func() error) error {
	if v == nil {
		return do()
	}
	return v.ids.as(do)
}

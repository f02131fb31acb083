//go:build linux

package userns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// Check returns nil if the machine can give containers with files below dir user IDs of
// their own, and otherwise what it cannot. It tries, in a directory below dir that it shows
// below views, where everybody must be able to go.
func Check(dir, views string) (err error) {
	ids := IDs{First: first}
	namespace, err := Open(ids)
	if err != nil {
		return err
	}
	defer namespace.Close()
	trial, err := os.MkdirTemp(dir, "userns")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(trial)
	view, err := NewView(trial, filepath.Join(views, "trial"), Lease{ids, namespace})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	return view.checkOverlay(trial)
}

// checkOverlay makes a directory through an overlay whose layers are seen through the view,
// and looks whose it is on disk.
func (v *View) checkOverlay(trial string) error {
	at := func(name string) string { return filepath.Join(trial, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
	}
	options := []string{"lowerdir=" + at("lower"), "upperdir=" + at("upper"), "workdir=" + at("work")}
	overlay := []mount.Mount{{Type: "overlay", Source: "overlay", Options: options}}
	merged := v.Path(at("merged"))
	if err := v.Mount(overlay, merged); err != nil {
		return fmt.Errorf("mounting layers with other user IDs: %w", err)
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	if err := v.As(func() error { return os.Mkdir(filepath.Join(merged, "made"), 0o755) }); err != nil {
		return fmt.Errorf("making a directory with other user IDs: %w", err)
	}
	var made unix.Stat_t
	if err := unix.Stat(filepath.Join(at("upper"), "made"), &made); err != nil {
		return fmt.Errorf("looking at a directory with other user IDs: %w", err)
	}
	if made.Uid != 0 || made.Gid != 0 {
		return fmt.Errorf("the kernel does not translate user IDs of layers: root's directory belongs to %d", made.Uid)
	}
	return nil
}

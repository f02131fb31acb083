//go:build linux && cgo

package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/buildkit/executor"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// viewed is what a RUN mounts, seen through a view. A nil view leaves it as it is.
type viewed struct {
	executor.Mountable
	view   *userns.View
	layers *sharedLayers
}

// Mount implements executor.Mountable.
func (v viewed) Mount(ctx context.Context, readonly bool) (executor.MountableRef, error) {
	ref, err := v.Mountable.Mount(ctx, readonly)
	if err != nil || v.view == nil {
		return ref, err
	}
	return viewedRef{ref, v.view, v.layers}, nil
}

type viewedRef struct {
	executor.MountableRef
	view   *userns.View
	layers *sharedLayers
}

// Mount implements executor.MountableRef. Layers are mounted here, since whoever called
// would do it as the machine's root, whom they do not know.
func (v viewedRef) Mount() (_ []mount.Mount, _ func() error, err error) {
	ref, readonly := asStored(v.MountableRef)
	mounts, release, err := ref.Mount()
	if err != nil {
		return nil, nil, err
	}
	if release == nil {
		release = func() error { return nil }
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	if !slices.ContainsFunc(mounts, isOverlay) {
		shown := v.view.Mounts(mounts)
		if readonly {
			for i := range shown {
				shown[i].Options = append(shown[i].Options, "ro")
			}
		}
		return shown, release, v.giveFiles(shown)
	}
	dir, undo, err := v.layers.mount(v.view, mounts)
	if err != nil {
		return nil, nil, err
	}
	options := []string{"rbind"}
	if readonly {
		options = append(options, "ro")
	}
	bound := []mount.Mount{{Type: "bind", Source: dir, Options: options}}
	return bound, func() error { return errors.Join(undo(), release()) }, nil
}

// sharedLayers are the layers that RUN instructions mount at present. Several may write to
// one at the same time (a cache mount that begins with files of an image): it is mounted
// once, since two overlays must not work in the same directory.
type sharedLayers struct {
	mu      sync.Mutex
	mounted map[string]*sharedLayer
}

type sharedLayer struct {
	dir   string
	users int
}

// mount mounts layers as they are seen through the view, somewhere in the machine's
// directory for temporary files.
func (l *sharedLayers) mount(view *userns.View, mounts []mount.Mount) (dir string, undo func() error, err error) {
	key := fmt.Sprint(view.Mounts(mounts))
	l.mu.Lock()
	defer l.mu.Unlock()
	layer := l.mounted[key]
	if layer == nil {
		layer = &sharedLayer{}
		if layer.dir, err = os.MkdirTemp("", "buildkit-mount"); err != nil {
			return "", nil, fmt.Errorf("making a directory to mount on: %w", err)
		}
		if err := view.Mount(mounts, layer.dir); err != nil {
			return "", nil, errors.Join(fmt.Errorf("mounting the files of a RUN: %w", err), os.Remove(layer.dir))
		}
		if l.mounted == nil {
			l.mounted = map[string]*sharedLayer{}
		}
		l.mounted[key] = layer
	}
	layer.users++
	return layer.dir, sync.OnceValue(func() error { return l.unmount(key, layer) }), nil
}

func (l *sharedLayers) unmount(key string, layer *sharedLayer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if layer.users--; layer.users > 0 {
		return nil
	}
	delete(l.mounted, key)
	return errors.Join(mount.UnmountAll(layer.dir, 0), os.Remove(layer.dir))
}

func isOverlay(m mount.Mount) bool { return m.Type == "overlay" }

// giveFiles gives files that are made for this one mount (a secret, the socket of an SSH
// agent) to the user whom they are meant for. They lie in memory and are not in the view.
func (v viewedRef) giveFiles(mounts []mount.Mount) error {
	for _, m := range mounts {
		if m.Type != "bind" || v.view.Sees(m.Source) {
			continue
		}
		info, err := os.Lstat(m.Source)
		if err != nil {
			return fmt.Errorf("looking at what a RUN mounts: %w", err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		first := v.view.IDs().First
		if err := os.Lchown(m.Source, int(owner.Uid)+first, int(owner.Gid)+first); err != nil {
			return fmt.Errorf("giving a RUN what it mounts: %w", err)
		}
	}
	return nil
}

// asStored is a layer as the snapshotter has it, and whether it is to be read only. BuildKit
// would mount a writable one itself and pass on where, so that several may write to it
// (cache/refs.go, sharableMountable and readOnlyMounter, v0.34.2); a layer that is mounted
// already cannot be seen through a view any more. What these two wrap is a field that
// everybody may read, of types that nobody else may name.
func asStored(ref executor.MountableRef) (_ executor.MountableRef, readonly bool) {
	for {
		value := reflect.Indirect(reflect.ValueOf(ref))
		inner, ok := fieldOf(value)
		if !ok {
			return ref, readonly
		}
		switch value.Type().Name() {
		case "sharableMountable":
		case "readOnlyMounter":
			readonly = true
		default:
			return ref, readonly
		}
		ref = inner
	}
}

func fieldOf(value reflect.Value) (executor.MountableRef, bool) {
	if value.Kind() != reflect.Struct {
		return nil, false
	}
	field := value.FieldByName("Mountable")
	if !field.IsValid() || !field.CanInterface() {
		return nil, false
	}
	inner, ok := field.Interface().(executor.MountableRef)
	return inner, ok
}

//go:build linux && cgo

package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/userns"
)

// viewsRoot is where runs see their files from, by a name for each executor. Every user may
// go there: an executor's own directory often lies where only root may.
const viewsRoot = "/run/acrux"

// lodging is how the containers of a run are kept apart from the machine's users: they have
// IDs of their own, and see files through views. The zero value is the machine's users.
type lodging struct {
	lease userns.Lease
	views []*userns.View
}

// openViews finds out whether runs can have user IDs of their own. It says once what is
// weaker if they cannot.
func (e *Executor) openViews(o Options) error {
	if userns.Inside() {
		return nil // its IDs are an ordinary user's as it is
	}
	dir := e.viewsDir()
	const weaker = "root of a container is root of the machine, behind capabilities and a filter of system calls only"
	if o.MachineUsers {
		e.log.Warn("containers have the machine's user IDs, as configured: " + weaker)
		return nil
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("making the directory of views: %w", err)
	}
	if err := userns.Check(e.root, dir); err != nil {
		e.log.Warn("containers have the machine's user IDs, because it cannot give them others: "+weaker, "error", err)
		return os.Remove(dir)
	}
	e.views = dir
	return nil
}

func (e *Executor) viewsDir() string { return filepath.Join(viewsRoot, container.CgroupName(e.root)) }

func (e *Executor) closeViews() error {
	if e.views == "" {
		return nil
	}
	return errors.Join(e.ids.Close(), os.Remove(e.views))
}

// lodge gives a run IDs of its own, if there are any to be had, and views of directories.
// Names of views begin with id. The caller calls leave, also after an error.
func (e *Executor) lodge(id string, dirs ...string) (l lodging, err error) {
	if e.views == "" {
		return l, nil
	}
	if l.lease, err = e.ids.Take(); err != nil {
		return l, err
	}
	for i, dir := range dirs {
		if dir == "" {
			continue
		}
		view, err := userns.NewView(dir, filepath.Join(e.views, fmt.Sprintf("%s.%d", id, i)), l.lease)
		if err != nil {
			return l, err
		}
		l.views = append(l.views, view)
	}
	return l, nil
}

// leave closes the views, and gives the IDs back. Nothing of the run may be mounted any more.
func (e *Executor) leave(l lodging) error {
	var errs []error
	for _, view := range l.views {
		errs = append(errs, view.Close())
	}
	if !l.ids().None() {
		e.ids.Give(l.lease)
	}
	return errors.Join(errs...)
}

func (l *lodging) ids() userns.IDs { return l.lease.IDs }

// root is the view of the directory that was named first; nil without IDs.
func (l *lodging) root() *userns.View {
	if len(l.views) == 0 {
		return nil
	}
	return l.views[0]
}

// path is where the run sees a file or directory of the machine.
func (l *lodging) path(path string) string {
	for _, view := range l.views {
		if view.Shows(path) {
			return view.Path(path)
		}
	}
	return path
}

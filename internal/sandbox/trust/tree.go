//go:build linux

package trust

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	continuity "github.com/containerd/continuity/fs"
	"golang.org/x/sys/unix"
)

// maxBundle is more than any bundle has: what is larger is something else.
const maxBundle = 8 << 20

// tree is a container's file system, and what was changed in it.
type tree struct {
	root    string
	changes []change
}

// change is a file or directory that is not as it was.
type change struct {
	at            string // on the machine
	before, after []byte // before is nil if there was no file
	modified      time.Time
	dir           bool // made
	pending       bool // there was a file of apk's beside it already
}

// find is where something of the container is on the machine, with the links of the container.
func (t *tree) find(path string) (string, error) { return continuity.RootPath(t.root, path) }

// cannotBe reports whether the image leaves no place for such a file: something else is there.
func cannotBe(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) ||
		errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.EROFS)
}

func (t *tree) isDir(path string) bool {
	at, err := t.find(path)
	if err != nil {
		return false
	}
	info, err := os.Lstat(at)
	return err == nil && info.IsDir()
}

// read reads a file; what is none, or is too large, has no content.
func (t *tree) read(path string) ([]byte, error) {
	at, err := t.find(path)
	if err != nil {
		return nil, nil // a link that goes in circles
	}
	info, err := os.Lstat(at)
	if err != nil && !cannotBe(err) {
		return nil, err
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxBundle {
		return nil, nil
	}
	return os.ReadFile(at)
}

// replace gives a file that was read other content. Owner, mode and links stay.
func (t *tree) replace(path string, content []byte) error {
	at, err := t.find(path)
	if err != nil {
		return err
	}
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	t.changes = append(t.changes, change{at: at, before: before, after: content, modified: info.ModTime(), pending: exists(at + apkNew)})
	return write(at, content, os.O_TRUNC)
}

// create makes a file that is not there yet, with the directories above it.
func (t *tree) create(path string, content []byte) (made bool, err error) {
	at, err := t.find(path)
	if err != nil {
		return false, nil
	}
	if _, err := os.Lstat(at); err == nil {
		return false, nil
	}
	err = t.mkdir(filepath.Dir(at))
	if err == nil {
		err = keepingTime(filepath.Dir(at), func() error { return write(at, content, os.O_CREATE|os.O_EXCL) })
	}
	if cannotBe(err) {
		return false, nil
	}
	if err == nil {
		t.changes = append(t.changes, change{at: at, after: content})
	}
	return err == nil, err
}

// mkdir makes a directory on the machine, and those above.
func (t *tree) mkdir(at string) error {
	if _, err := os.Lstat(at); err == nil || at == t.root {
		return err
	}
	if err := t.mkdir(filepath.Dir(at)); err != nil {
		return err
	}
	err := keepingTime(filepath.Dir(at), func() error { return os.Mkdir(at, 0o755) })
	if err == nil {
		t.changes = append(t.changes, change{at: at, dir: true})
	}
	return err
}

func write(at string, content []byte, how int) error {
	file, err := os.OpenFile(at, os.O_WRONLY|unix.O_NOFOLLOW|how, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// keepingTime changes what a directory has and leaves its time as it was: layers hold
// directories whose time has changed.
func keepingTime(dir string, do func() error) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return setTime(dir, info.ModTime())
}

func setTime(at string, modified time.Time) error { return os.Chtimes(at, time.Time{}, modified) }

// undo takes the changes back, the last one first. What the container has changed since
// remains, without our certificates.
func (t *tree) undo(a Authority) error {
	var errs []error
	for _, c := range slices.Backward(t.changes) {
		if err := t.back(c, a); err != nil && !cannotBe(err) {
			errs = append(errs, err)
		}
	}
	t.changes = nil
	return errors.Join(errs...)
}

func (t *tree) back(c change, a Authority) error {
	if err := t.inside(c.at); err != nil {
		return err
	}
	if c.dir {
		return removeEmpty(c.at)
	}
	info, err := os.Lstat(c.at)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	now, err := os.ReadFile(c.at)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, c.after) {
		if without, had := a.taken(now); had {
			return write(c.at, without, os.O_TRUNC)
		}
		return nil
	}
	if c.before == nil {
		return keepingTime(filepath.Dir(c.at), func() error { return os.Remove(c.at) })
	}
	if !c.pending && exists(c.at+apkNew) {
		return os.Rename(c.at+apkNew, c.at)
	}
	if err := write(c.at, c.before, os.O_TRUNC); err != nil {
		return err
	}
	return setTime(c.at, c.modified)
}

// apkNew is how Alpine's package manager calls a file that it would have replaced, had nobody
// changed the one that is there (apk-tools 2 and 3). Nobody but us has.
const apkNew = ".apk-new"

func exists(at string) bool {
	_, err := os.Lstat(at)
	return err == nil
}

// inside makes sure that the container has not put a link in the way.
func (t *tree) inside(at string) error {
	relative, err := filepath.Rel(t.root, at)
	if err != nil {
		return err
	}
	found, err := t.find(filepath.Dir("/" + relative))
	if err == nil && found != filepath.Dir(at) {
		err = fs.ErrNotExist // what was there is gone
	}
	return err
}

// removeEmpty removes a directory unless the container has put something there.
func removeEmpty(at string) error {
	return keepingTime(filepath.Dir(at), func() error {
		if err := os.Remove(at); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
		return nil
	})
}

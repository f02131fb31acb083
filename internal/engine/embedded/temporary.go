//go:build linux && cgo

package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
)

// temporary is where this process has its temporary files, by TMPDIR, while an executor is
// open. BuildKit and the libraries beneath it write and mount there, and leave it when they
// are killed. The name is short, since sockets are made there, and the same for each process
// that uses the executor's directory.
type temporary struct {
	dir, before string
	set         bool // there was a TMPDIR before
}

// ownTemporary removes what a former process left and lets the process use the directory. It
// does nothing if somebody else has made one of that name.
func ownTemporary(root string) (*temporary, error) {
	sum := sha256.Sum256([]byte(root))
	t := &temporary{dir: filepath.Join(os.TempDir(), "acrux-"+hex.EncodeToString(sum[:6]))}
	if foreign(t.dir) {
		return nil, nil
	}
	if err := t.remove(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(t.dir, 0o711); err != nil {
		return nil, fmt.Errorf("making a directory for temporary files: %w", err)
	}
	t.before, t.set = os.LookupEnv("TMPDIR")
	return t, errors.Join(os.Setenv("TMPDIR", t.dir), mountIn(t.dir))
}

// atBeginning is where temporary files were when the program began.
var atBeginning = os.TempDir()

// mountIn has containerd mount layers for a moment in a directory. It looks at XDG_RUNTIME_DIR
// and TMPDIR once, when the program begins (v2.4.2, core/mount/temp.go).
func mountIn(dir string) error {
	if err := mount.SetTempMountLocation(dir); err != nil {
		return fmt.Errorf("setting where layers are mounted for a moment: %w", err)
	}
	return nil
}

// foreign reports whether something is there that this user would not have made.
func foreign(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil {
		return false // it can be made, or not
	}
	owner := info.Sys().(*syscall.Stat_t)
	return !info.IsDir() || info.Mode().Perm()&0o022 != 0 || int(owner.Uid) != os.Geteuid()
}

// remove removes the directory. What is still mounted there has files that are to stay.
func (t *temporary) remove() error {
	real, err := filepath.EvalSymlinks(filepath.Dir(t.dir)) // as mounts are listed
	if err == nil {
		err = unmountLeft(filepath.Join(real, filepath.Base(t.dir)))
	}
	if err == nil {
		err = os.RemoveAll(t.dir)
	}
	if err != nil {
		return fmt.Errorf("removing temporary files: %w", err)
	}
	return nil
}

// close gives the process its former directory back.
func (t *temporary) close() error {
	err := os.Unsetenv("TMPDIR")
	if t.set {
		err = os.Setenv("TMPDIR", t.before)
	}
	return errors.Join(err, mountIn(atBeginning), t.remove())
}

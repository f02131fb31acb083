//go:build unix

package local

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/acrux/acrux/internal/arm/problem"
)

// lockDirectory makes this process the only one that uses a directory.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		busy := problem.New(problem.Conflict, "Busy", "Another run uses %s.", dir).Hint("wait for it, or give this one a directory of its own with --root").Because(err)
		return nil, errors.Join(busy, f.Close())
	}
	return f, nil
}

//go:build !unix

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockDirectory keeps two servers from using one data directory: there, a file that is
// open cannot be removed.
func lockDirectory(data string) (*os.File, error) {
	name := filepath.Join(data, "lock")
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("the data directory %s is in use by another server: %w", data, err)
	}
	return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
}

// Running reports whether a server has the data directory.
func Running(data string) bool {
	f, err := os.OpenFile(filepath.Join(data, "lock"), os.O_RDWR, 0)
	if err != nil {
		return !os.IsNotExist(err)
	}
	return f.Close() != nil
}

//go:build !unix

package local

import (
	"os"
	"path/filepath"
)

// lockDirectory marks a directory as used; there is no engine on this system anyway.
func lockDirectory(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}

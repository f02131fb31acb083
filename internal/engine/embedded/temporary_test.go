//go:build linux && cgo

package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// What a killed process has left among its temporary files goes, and no file of a layer that
// it had mounted there. Another directory's, and somebody else's, stay.
func TestOwnTemporary(t *testing.T) {
	needRoot(t)
	usual, layer := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", usual)
	kept := filepath.Join(layer, "file")
	write := func(file string) {
		t.Helper()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(kept)
	killed, err := ownTemporary("/a")
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(os.TempDir(), "left")
	write(left)
	mounted := filepath.Join(os.TempDir(), "buildkit-mount1")
	if err := os.Mkdir(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(layer, mounted, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := mount.WithTempMount(t.Context(), nil, func(root string) error {
		if filepath.Dir(root) != killed.dir {
			t.Errorf("layers are mounted in %s", root)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", usual) // as the next process has it
	other, err := ownTemporary("/b")
	if err != nil || other.dir == killed.dir {
		t.Fatal(other, err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Error("another's file is gone:", err)
	}
	if err := other.close(); err != nil || os.TempDir() != usual {
		t.Error(os.TempDir(), err)
	}
	next, err := ownTemporary("/a")
	if err != nil || os.TempDir() != killed.dir {
		t.Fatal(os.TempDir(), err)
	}
	if entries, err := os.ReadDir(next.dir); err != nil || len(entries) > 0 {
		t.Error("left:", entries, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error("a file of a layer is gone:", err)
	}
	if err := next.close(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(usual); len(entries) > 0 {
		t.Error("left:", entries)
	}
	if err := os.Mkdir(next.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(next.dir, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if taken, err := ownTemporary("/a"); taken != nil || err != nil || os.TempDir() != usual {
		t.Error("somebody else's directory is used:", taken, err)
	}
}

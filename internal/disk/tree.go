package disk

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// Tree is what there is in a folder.
type Tree struct {
	Files  int64
	Bytes  int64 // as long as the files are
	Unread int64 // folders of others, which cannot be read
}

// Measure adds up a file, or a folder with what is below it, on the same file system: what is
// mounted there belongs to elsewhere. Links are not followed, and what goes away meanwhile is
// not there. It looks at each file and reads none.
func Measure(ctx context.Context, name string) (t Tree, err error) {
	var home uint64
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, fs.ErrPermission):
			t.Unread++
			return fs.SkipDir
		case err != nil:
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if path == name {
			home = device(info)
		} else if entry.IsDir() && device(info) != home {
			return fs.SkipDir
		}
		if info.Mode().IsRegular() {
			t.Files, t.Bytes = t.Files+1, t.Bytes+info.Size()
		}
		return nil
	})
	return t, err
}

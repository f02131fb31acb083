//go:build linux && cgo

package buildkit

import (
	"context"
	"errors"
	"fmt"
	gofs "io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
)

// contextSize is how large the context would be as the tar archive that a docker
// client sends: a header of 512 bytes for each file, contents in blocks of as many,
// and two blocks at the end.
func contextSize(ctx context.Context, dir, dockerfile string) (int64, error) {
	const block = 512
	patterns, err := ignored(dir, dockerfile)
	if err != nil {
		return 0, err
	}
	files, err := fsutil.NewFS(dir)
	if err != nil {
		return 0, fmt.Errorf("opening the build context: %w", err)
	}
	if files, err = fsutil.NewFilterFS(files, &fsutil.FilterOpt{ExcludePatterns: patterns}); err != nil {
		return 0, userError{fmt.Sprintf("error checking context: %v", err)}
	}
	size := int64(2 * block)
	err = files.Walk(ctx, "", func(_ string, entry gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		size += block
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			size += (info.Size() + block - 1) / block * block
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("walking the build context: %w", err)
	}
	return size, nil
}

// ignored reads the patterns of files that stay out of the context. A file beside the
// Dockerfile and named after it goes before the one of the context.
func ignored(dir, dockerfile string) ([]string, error) {
	for _, path := range []string{dockerfile + ".dockerignore", filepath.Join(dir, ".dockerignore")} {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the ignore file: %w", err)
		}
		defer f.Close()
		patterns, err := ignorefile.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("reading the ignore file: %w", err)
		}
		return patterns, nil
	}
	return nil, nil
}

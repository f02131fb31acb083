package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	gofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// rootedFS is a directory of someone's sources. Steps that run at the same time may
// put symbolic links in the place of files and directories; what these lead to outside
// of it is the machine's and is not opened.
type rootedFS struct {
	fsutil.FS
	root *os.Root

	mu      sync.Mutex
	fault   error  // the first file that could not be read
	strange string // the first name that is no UTF-8, which BuildKit's protocol cannot tell
}

// Open implements fsutil.FS.
func (r *rootedFS) Open(name string) (io.ReadCloser, error) {
	file, err := r.FS.Open(name)
	r.note(err)
	return file, err
}

// Walk implements fsutil.FS.
func (r *rootedFS) Walk(ctx context.Context, target string, fn gofs.WalkDirFunc) error {
	err := r.FS.Walk(ctx, target, func(path string, entry gofs.DirEntry, err error) error {
		if !utf8.ValidString(path) {
			r.noteName(path)
		}
		return fn(path, entry, err)
	})
	r.note(err)
	return err
}

func (r *rootedFS) noteName(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.strange == "" {
		r.strange = path
	}
}

// note keeps an error that is about a file. Whoever builds may hear no more of it than that the
// transfer was canceled.
func (r *rootedFS) note(err error) {
	var path *os.PathError
	if !errors.As(err, &path) || errors.Is(err, os.ErrNotExist) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == nil {
		r.fault = path
	}
}

// sent is the context as COPY and ADD see it. The Dockerfile of a quick build lies there under a
// name that its client has made up for this once, which would be something new each time.
func (p *prepared) sent() (fsutil.FS, error) {
	name, err := filepath.Rel(p.ContextDir, p.Dockerfile)
	if err != nil || !madeUp.MatchString(name) {
		return p.context, nil
	}
	return fsutil.NewFilterFS(p.context, &fsutil.FilterOpt{Map: func(path string, _ *types.Stat) fsutil.MapResult {
		if path == name || path == name+".dockerignore" {
			return fsutil.MapResultExclude
		}
		return fsutil.MapResultKeep
	}})
}

// madeUp are the names of quick builds' Dockerfiles (azure-cli 2.45 and 2.91, and ours).
var madeUp = regexp.MustCompile(`^[0-9a-f]{32}_[^/]*$`)

// unsendable names a file of the build's directories that BuildKit cannot be told of.
func (p *prepared) unsendable() string {
	for _, dir := range append(slices.Collect(maps.Values(p.folders)), p.context) {
		dir.mu.Lock()
		name := dir.strange
		dir.mu.Unlock()
		if name != "" {
			return name
		}
	}
	return ""
}

// unreadable is the first file of the build's directories that could not be read.
func (p *prepared) unreadable() error {
	for _, dir := range append(slices.Collect(maps.Values(p.folders)), p.context, p.beside) {
		dir.mu.Lock()
		fault := dir.fault
		dir.mu.Unlock()
		if fault != nil {
			return fault
		}
	}
	return nil
}

// openDir opens a directory. If it is below the workspace, neither do links on the way
// to it lead out of the workspace.
func openDir(workspace, dir string) (*rootedFS, error) {
	root, err := openRoot(workspace, dir)
	if err != nil {
		return nil, err
	}
	return &rootedFS{FS: fsutil.NewRootFS(fsutil.NewRoot(root)), root: root}, nil
}

func openRoot(workspace, dir string) (*os.Root, error) {
	below, err := filepath.Rel(workspace, dir)
	if workspace == "" || err != nil || !filepath.IsLocal(below) {
		return os.OpenRoot(dir)
	}
	top, err := os.OpenRoot(workspace)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	return top.OpenRoot(below)
}

// maxSmallFile bounds what is read whole, in bytes: Dockerfiles and ignore files.
const maxSmallFile = 4 << 20

// readFile reads a small ordinary file. It is looked at before it is opened, since opening a
// device may do something, and afterwards, since a step may have put another in its place;
// opening a pipe does not wait for somebody who writes to it.
func (r *rootedFS) readFile(name string) ([]byte, error) {
	irregular := &os.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	if info, err := r.root.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, irregular
	}
	file, err := r.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, irregular
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSmallFile+1))
	if err == nil && len(data) > maxSmallFile {
		err = &os.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d bytes", maxSmallFile)}
	}
	return data, err
}

// contextSize is how large the context would be as the tar archive that a docker
// client sends: a header of 512 bytes for each file, contents in blocks of as many,
// and two blocks at the end.
func (p *prepared) contextSize(ctx context.Context) (int64, error) {
	const block = 512
	patterns, err := p.ignored()
	if err != nil {
		return 0, err
	}
	files, err := fsutil.NewFilterFS(p.context, &fsutil.FilterOpt{ExcludePatterns: patterns})
	if err != nil {
		return 0, badIgnore(".dockerignore", err)
	}
	size := int64(2 * block)
	err = files.Walk(ctx, "", func(_ string, entry gofs.DirEntry, err error) error {
		var info gofs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, gofs.ErrNotExist) {
			return nil // a step has removed it just now
		}
		if err != nil {
			return err
		}
		size += block
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
func (p *prepared) ignored() ([]string, error) {
	for _, place := range []struct {
		dir  *rootedFS
		name string
	}{{p.beside, filepath.Base(p.Dockerfile) + ".dockerignore"}, {p.context, ".dockerignore"}} {
		data, err := place.dir.readFile(place.name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, badIgnore(place.name, err)
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(data))
		if err != nil {
			return nil, badIgnore(place.name, err)
		}
		return patterns, nil
	}
	return nil, nil
}

// badIgnore is for an ignore file that cannot be read, or has patterns that are none:
// whatever it is, it came with the source.
func badIgnore(name string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return userError{fmt.Sprintf("unable to prepare context: the ignore file %s cannot be used: %v", name, err)}
}

package client

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/acrux/acrux/internal/arm/problem"
)

// versionControl is left out of uploads unless an ignore file brings it back with
// an exception, run-semantics 5.
var versionControl = []string{".git", ".gitignore", ".bzr", ".bzrignore", ".hg", ".hgignore", ".svn"}

// PackOptions say what a folder is packed for.
type PackOptions struct {
	// Dockerfile is the file that a build is made by. It may lie outside of the folder; it is
	// added at the root under a name of its own, with the ignore file that stands beside it
	// (NAME.dockerignore), which then counts instead of the folder's.
	Dockerfile string
	// Keep are files of the folder, with slashes, that are packed whatever is ignored: what
	// reads them is not the build. The ignore files that hide them from builds are packed too.
	Keep []string
	// Progress is told how many bytes were packed so far, often. It may be nil.
	Progress func(bytes int64)
}

// Packed is what was packed.
type Packed struct {
	Dockerfile string // its name in the archive, if one was given
	Weight     Weight
}

// PackCompressed is Pack, compressed with gzip while it is packed.
func PackCompressed(ctx context.Context, w io.Writer, folder string, o PackOptions) (packed Packed, err error) {
	plain, packing := io.Pipe()
	compressed := make(chan error, 1)
	go func() {
		zip := gzip.NewWriter(w)
		_, err := io.CopyBuffer(zip, plain, make([]byte, chunk))
		if err == nil {
			err = zip.Close()
		}
		plain.CloseWithError(err)
		compressed <- err
	}()
	packed, err = Pack(ctx, packing, folder, o)
	packing.CloseWithError(err)
	if late := <-compressed; err == nil { // else it has that error, too
		err = late
	}
	return packed, err
}

// chunk is how much of a tar is handed on at once.
const chunk = 256 << 10

// Pack writes a folder as a tar to w, honouring its .dockerignore. It ends with ctx.
func Pack(ctx context.Context, w io.Writer, folder string, o PackOptions) (packed Packed, err error) {
	// A folder may be given by a symbolic link, which a walk would not follow.
	folder, err = filepath.EvalSymlinks(folder)
	if err != nil {
		return packed, fmt.Errorf("the source location: %w", err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return packed, fmt.Errorf("the source location: %w", err)
	}
	if !info.IsDir() {
		return packed, problem.New(problem.Invalid, "InvalidSourceLocation", "the source location '%s' is not a folder", folder)
	}
	chunks := bufio.NewWriterSize(&until{ctx: ctx, w: w, progress: o.Progress}, chunk)
	p := &packer{ctx: ctx, tar: tar.NewWriter(chunks), folder: folder, keep: kept(o.Keep), weights: weights{}}
	ignore := filepath.Join(folder, ignoreFile)
	if o.Dockerfile != "" {
		if packed.Dockerfile, err = p.addDockerfile(o.Dockerfile, &ignore); err != nil {
			return packed, err
		}
	}
	if p.ignore, err = readIgnore(ignore); err != nil {
		return packed, err
	}
	if err = filepath.WalkDir(folder, p.visit); err != nil {
		return packed, err // the archive is broken; that it cannot be closed says nothing more
	}
	packed.Weight = p.weight()
	packed.Weight.Ignore = exists(ignore)
	return packed, errors.Join(p.tar.Close(), chunks.Flush())
}

// until writes until ctx ends: a file may be larger than anybody waits for.
type until struct {
	ctx      context.Context
	w        io.Writer
	progress func(bytes int64) // may be nil
	written  int64
}

func (u *until) Write(p []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	n, err := u.w.Write(p)
	if u.written += int64(n); u.progress != nil {
		u.progress(u.written)
	}
	return n, err
}

// ignoreFile names what stays out of builds of a folder, and the ending of such a file for a
// single Dockerfile.
const ignoreFile = ".dockerignore"

// kept are files, each with the ignore file beside it, and that of the folder.
func kept(files []string) map[string]bool {
	if len(files) == 0 {
		return nil
	}
	keep := map[string]bool{ignoreFile: true}
	for _, file := range files {
		file = path.Clean(file)
		keep[file], keep[file+ignoreFile] = true, true
	}
	return keep
}

func readIgnore(file string) (*patternmatcher.PatternMatcher, error) {
	patterns := append([]string(nil), versionControl...)
	f, err := os.Open(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		defer f.Close()
		own, err := ignorefile.ReadAll(bufio.NewReader(f))
		if err != nil {
			return nil, fmt.Errorf("the file %s: %w", filepath.Base(file), err)
		}
		patterns = append(patterns, own...)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("the file %s: %w", filepath.Base(file), err)
	}
	return matcher, nil
}

type packer struct {
	ctx    context.Context
	tar    *tar.Writer
	folder string
	ignore *patternmatcher.PatternMatcher
	keep   map[string]bool

	weights weights
	bytes   int64
}

func (p *packer) weight() Weight {
	largest := p.weights.heaviest()
	return Weight{Bytes: p.bytes, Largest: largest, LargestBytes: p.weights[largest]}
}

// visit adds one entry of the folder. An ignored folder is entered all the same if
// an exception may bring something below it back.
func (p *packer) visit(path string, entry fs.DirEntry, err error) error {
	if err = errors.Join(err, context.Cause(p.ctx)); err != nil {
		return err
	}
	name, err := filepath.Rel(p.folder, path)
	if err != nil || name == "." {
		return err
	}
	name = filepath.ToSlash(name)
	ignored, err := p.ignore.MatchesOrParentMatches(name)
	switch {
	case err != nil:
		return err
	case p.keep[name] && !entry.IsDir():
	case ignored && entry.IsDir() && !p.ignore.Exclusions() && !p.keepsBelow(name):
		return filepath.SkipDir
	case ignored:
		return nil
	}
	return p.add(path, name)
}

// keepsBelow reports whether something in a folder is kept.
func (p *packer) keepsBelow(name string) bool {
	for file := range p.keep {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

func (p *packer) add(path, name string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	case !info.Mode().IsRegular() && !info.IsDir():
		return nil // sockets and devices have no content
	}
	header, err := tar.FileInfoHeader(info, filepath.ToSlash(target))
	if err != nil {
		return err
	}
	// Who owns the files here says nothing about who shall own them in an image.
	header.Name, header.Uid, header.Gid, header.Uname, header.Gname = name, 0, 0, "", ""
	if info.IsDir() {
		header.Name += "/"
	}
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	p.bytes += info.Size()
	p.weights.add(name, info.Size())
	return p.copy(path, info.Size())
}

// copy adds a file's content. One that changes its size meanwhile is an error: the
// archive would be broken.
func (p *packer) copy(path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(p.tar, f, size)
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s became shorter while it was packed", path)
	case err != nil:
		return fmt.Errorf("packing %s: %w", path, err)
	}
	return nil
}

// ErrNoDockerfile says that PackOptions.Dockerfile is not there.
var ErrNoDockerfile = errors.New("unable to find the Dockerfile")

// addDockerfile adds the Dockerfile and, if there is one, its ignore file, which takes the place
// of ignore.
func (p *packer) addDockerfile(path string, ignore *string) (string, error) {
	if !filepath.IsAbs(path) && !exists(path) {
		path = filepath.Join(p.folder, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoDockerfile, err)
	}
	if !info.Mode().IsRegular() {
		return "", problem.New(problem.Invalid, "InvalidDockerfile", "'%s' is not a file", path)
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	name := hex.EncodeToString(random) + "_" + strings.ReplaceAll(filepath.Base(path), " ", "_")
	if own, err := os.Stat(path + ignoreFile); err == nil && own.Mode().IsRegular() {
		*ignore = path + ignoreFile
		if err := p.addAs(*ignore, name+ignoreFile, own); err != nil {
			return "", err
		}
	}
	return name, p.addAs(path, name, info)
}

func (p *packer) addAs(path, name string, info fs.FileInfo) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	return p.copy(path, info.Size())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

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

// PackCompressed is Pack, compressed with gzip while it is packed.
func PackCompressed(ctx context.Context, w io.Writer, folder, dockerfile string) (name string, err error) {
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
	name, err = Pack(ctx, packing, folder, dockerfile)
	packing.CloseWithError(err)
	if late := <-compressed; err == nil { // else it has that error, too
		err = late
	}
	return name, err
}

// chunk is how much of a tar is handed on at once.
const chunk = 256 << 10

// Pack writes a folder as a tar to w, honouring its .dockerignore. If
// dockerfile is not empty, the file of that path, which may lie outside of the folder,
// is added at the root under a name of its own, which is returned. It ends with ctx.
func Pack(ctx context.Context, w io.Writer, folder, dockerfile string) (name string, err error) {
	// A folder may be given by a symbolic link, which a walk would not follow.
	folder, err = filepath.EvalSymlinks(folder)
	if err != nil {
		return "", fmt.Errorf("the source location: %w", err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", fmt.Errorf("the source location: %w", err)
	}
	if !info.IsDir() {
		return "", problem.New(problem.Invalid, "InvalidSourceLocation", "the source location '%s' is not a folder", folder)
	}
	matcher, err := readIgnore(folder)
	if err != nil {
		return "", err
	}
	chunks := bufio.NewWriterSize(w, chunk)
	p := &packer{ctx: ctx, tar: tar.NewWriter(chunks), folder: folder, ignore: matcher}
	if dockerfile != "" {
		if name, err = p.addDockerfile(dockerfile); err != nil {
			return "", err
		}
	}
	if err = filepath.WalkDir(folder, p.visit); err != nil {
		return "", err // the archive is broken; that it cannot be closed says nothing more
	}
	return name, errors.Join(p.tar.Close(), chunks.Flush())
}

func readIgnore(folder string) (*patternmatcher.PatternMatcher, error) {
	patterns := append([]string(nil), versionControl...)
	f, err := os.Open(filepath.Join(folder, ".dockerignore"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		defer f.Close()
		own, err := ignorefile.ReadAll(bufio.NewReader(f))
		if err != nil {
			return nil, fmt.Errorf("the file .dockerignore: %w", err)
		}
		patterns = append(patterns, own...)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("the file .dockerignore: %w", err)
	}
	return matcher, nil
}

type packer struct {
	ctx    context.Context
	tar    *tar.Writer
	folder string
	ignore *patternmatcher.PatternMatcher
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
	case ignored && entry.IsDir() && !p.ignore.Exclusions():
		return filepath.SkipDir
	case ignored:
		return nil
	}
	return p.add(path, name)
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

func (p *packer) addDockerfile(path string) (string, error) {
	if !filepath.IsAbs(path) && !exists(path) {
		path = filepath.Join(p.folder, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("unable to find the Dockerfile: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", problem.New(problem.Invalid, "InvalidDockerfile", "'%s' is not a file", path)
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	name := hex.EncodeToString(random) + "_" + strings.ReplaceAll(filepath.Base(path), " ", "_")
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}
	if err := p.tar.WriteHeader(header); err != nil {
		return "", err
	}
	return name, p.copy(path, info.Size())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

package source

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/acrux/acrux/internal/engine"
)

// Downloads of an archive, and the pause after the first; each pause doubles.
const (
	downloadAttempts = 3
	downloadPause    = 250 * time.Millisecond
)

// archive downloads an archive and unpacks it.
func (f *Fetcher) archive(ctx context.Context, request Request) (Result, error) {
	where, err := parseLocation(request.Context, request.Token)
	if err != nil {
		return Result{}, err
	}
	wait := downloadPause
	for try := 1; ; try++ {
		again, err := f.archiveOnce(ctx, where, request.Dir)
		if err == nil {
			return Result{Dir: request.Dir}, nil
		}
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		if isBroken(err) && try == downloadAttempts { // it is like that
			return Result{}, engine.Failure(fmt.Sprintf("failed to GET %s: %v", where.shown(), err))
		}
		if !again || try == downloadAttempts {
			return Result{}, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Result{}, context.Cause(ctx)
		}
		wait *= 2
	}
}

// archiveOnce tries once; again says that another try may help.
func (f *Fetcher) archiveOnce(ctx context.Context, where location, dir string) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where.url.String(), nil)
	if err != nil {
		return false, engine.Failure(err.Error())
	}
	where.authorize(request.Header)
	response, err := (&http.Client{Transport: f.Transport}).Do(request)
	if err != nil {
		return true, engine.Failure(fmt.Sprintf("failed to GET %s: %v", where.shown(), errors.Unwrap(err)))
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // only to show it
		text := fmt.Sprintf("failed to GET %s with status %s: %s", where.shown(), response.Status, bytes.TrimSpace(body))
		return response.StatusCode >= 500, engine.Failure(text)
	}
	if err := os.RemoveAll(dir); err != nil {
		return false, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return false, err
	}
	err = Unpack(response.Body, dir, f.maxBytes())
	return isBroken(err), err
}

// isBroken reports whether the connection, and not the archive, was at fault.
func isBroken(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }

// Unpack unpacks a tar, plain or compressed with gzip, bzip2 or zstd, into dir, up
// to maxBytes of file contents. Nothing is written outside of dir, whatever names
// and links the archive has. What is no tar at all leaves dir as it is.
func Unpack(r io.Reader, dir string, maxBytes int64) error {
	plain, err := decompress(bufio.NewReader(r))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	unpacking := &unpacking{root: root, left: maxBytes, entries: maxEntries, buffer: make([]byte, 64<<10)}
	defer unpacking.leave()
	ahead := readAhead(&bounded{plain, maxBytes + int64(maxEntries)*2*tarBlock})
	defer ahead.Close()
	content := bufio.NewReaderSize(ahead, 64<<10)
	if _, err := content.Peek(tarBlock); err == io.EOF {
		return nil // shorter than any tar
	}
	archive := tar.NewReader(content)
	for first := true; ; first = false {
		header, err := archive.Next()
		switch {
		case err == io.EOF, first && errors.Is(err, tar.ErrHeader):
			return nil
		case err != nil:
			return broken(err)
		}
		if err := unpacking.entry(header, archive); err != nil {
			return err
		}
	}
}

// readAhead reads, and so decompresses, while what was read before is written. The caller
// closes it: then one more read may be under way, which ends when from does.
func readAhead(from io.Reader) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(w, struct{ io.Reader }{from}, make([]byte, 256<<10))
		w.CloseWithError(err)
	}()
	return r
}

// broken keeps what may be tried again apart from what is wrong with the archive.
func broken(err error) error {
	var failure engine.Failure
	if errors.As(err, &failure) {
		return failure
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the archive ends too early: %w", err)
	}
	return engine.Failure("the archive cannot be unpacked: " + err.Error())
}

// decompress finds out by the first bytes how a stream is compressed.
func decompress(r *bufio.Reader) (io.Reader, error) {
	magic, _ := r.Peek(6) // less than that is no compressed stream
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		plain, err := gzip.NewReader(r)
		if err != nil {
			return nil, broken(err)
		}
		return plain, nil
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(r), nil
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		plain, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, broken(err)
		}
		return plain.IOReadCloser(), nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return nil, engine.Failure("archives compressed with xz are not supported: use gzip, bzip2 or zstd")
	}
	return r, nil
}

// tarBlock is the length of a header in a tar.
const tarBlock = 512

// maxEntries bounds the number of files of one archive. Only tests change it.
var maxEntries = 1_000_000

// bounded ends a stream that is longer than contents and headers may be together: an
// archive may have more in it than is written, and little of it compressed.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, engine.Failure(errTooLarge.Error())
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

type unpacking struct {
	root    *os.Root
	left    int64
	entries int
	buffer  []byte

	// The directory of the file before this one, under its name. It is forgotten when
	// something is removed: then the name may be another's.
	folder *os.Root
	name   string
}

// enter returns the directory of a name, which is made if need be.
func (u *unpacking) enter(name string) (*os.Root, error) {
	if name == "." {
		return u.root, nil
	}
	if u.folder != nil && u.name == name {
		return u.folder, nil
	}
	u.leave()
	folder, err := u.root.OpenRoot(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = u.root.MkdirAll(name, 0o755); err == nil {
			folder, err = u.root.OpenRoot(name)
		}
	}
	if err == nil {
		u.folder, u.name = folder, name
	}
	return folder, err
}

func (u *unpacking) leave() {
	if u.folder != nil {
		_ = u.folder.Close() // was only looked through
		u.folder = nil
	}
}

func (u *unpacking) entry(header *tar.Header, content io.Reader) error {
	if u.entries--; u.entries < 0 {
		return engine.Failure(errTooLarge.Error())
	}
	name := filepath.Clean(filepath.FromSlash(strings.TrimSuffix(header.Name, "/")))
	if !filepath.IsLocal(name) {
		return engine.Failure(fmt.Sprintf("the archive has a file outside of itself: %q", header.Name))
	}
	if name == "." {
		return nil
	}
	if err := u.write(header, name, content); err != nil {
		var failure engine.Failure
		if errors.As(err, &failure) || isBroken(err) {
			return err
		}
		return engine.Failure(fmt.Sprintf("the archive's file %q cannot be unpacked: %v", header.Name, err))
	}
	return nil
}

// write makes one file. An earlier one of the same name goes away.
func (u *unpacking) write(header *tar.Header, name string, content io.Reader) error {
	if header.Typeflag == tar.TypeDir {
		return u.root.MkdirAll(name, 0o755)
	}
	folder, err := u.enter(filepath.Dir(name))
	if err != nil {
		return err
	}
	err = u.make(header, folder, name, content)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	base := filepath.Base(name)
	if info, err := folder.Lstat(base); err == nil && !info.IsDir() {
		if err := folder.Remove(base); err != nil {
			return err
		}
		u.leave()
		if folder, err = u.enter(filepath.Dir(name)); err != nil {
			return err
		}
	}
	return u.make(header, folder, name, content)
}

// make makes a file that is not there in its folder: fs.ErrExist if it is, before anything is
// read.
func (u *unpacking) make(header *tar.Header, folder *os.Root, name string, content io.Reader) error {
	base := filepath.Base(name)
	switch header.Typeflag {
	case tar.TypeReg:
		return u.file(header, folder, base, content)
	case tar.TypeSymlink:
		return folder.Symlink(header.Linkname, base)
	case tar.TypeLink:
		return u.root.Link(filepath.FromSlash(header.Linkname), name)
	}
	return nil // devices, pipes and the like have no place in a context
}

func (u *unpacking) file(header *tar.Header, folder *os.Root, base string, content io.Reader) error {
	if header.Size < 0 || u.left < header.Size {
		return engine.Failure(errTooLarge.Error())
	}
	mode := os.FileMode(header.Mode) & 0o777
	file, err := folder.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if err != nil {
		return err
	}
	u.left -= header.Size
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{content}, u.buffer)
	return errors.Join(err, file.Close())
}

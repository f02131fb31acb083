// Package upload keeps source code that clients uploaded for a run: archives, one file
// each, written whole or in blocks through a signed URL and read by the agent of the
// run. Nothing here is kept for long.
package upload

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/disk"
)

// Container is the first word of the path that names an upload in a run request.
const Container = "tasks-source"

// MaxSize is the largest upload in bytes.
const MaxSize = 4 << 30

// keepFor is how long an upload is kept: longer than a run may wait and last.
const keepFor = 48 * time.Hour

// ErrNotFound says that there is no such upload.
var ErrNotFound = errors.New("no such upload")

// ErrTaken says that a run or a task has taken the upload, which does not change any more.
var ErrTaken = errors.New("the upload was taken")

// ErrTooLarge says that an upload has more than MaxSize bytes.
var ErrTooLarge = errors.New("the upload is too large")

// Uploads is a directory of uploads. It is safe for concurrent use; one upload has
// one writer.
type Uploads struct {
	// Reserve is what uploads leave of the disk. Set before use; nil is nothing.
	Reserve *disk.Reserve
	// Failed is told what keeps old uploads from being removed. nil: nobody is.
	Failed func(error)

	dir string
}

// Open returns the uploads in dir, which is made if needed.
func Open(dir string) (*Uploads, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the uploads: %w", err)
	}
	return &Uploads{dir: dir}, nil
}

// New returns the path of a new upload for a registry, as run requests name it.
func New(registry string) string {
	return Container + "/" + strings.ToLower(registry) + "/" + uuid.NewString() + ".tar.gz"
}

var pathPattern = regexp.MustCompile(`^` + Container + `/([a-z0-9]+)/[0-9a-f-]{36}\.tar\.gz$`)

// Registry returns the name of the registry an upload's path belongs to; false if
// path is not one of an upload.
func Registry(path string) (string, bool) {
	m := pathPattern.FindStringSubmatch(path)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// file is where an upload lives. Its name is one word, whatever the path.
func (u *Uploads) file(path string) string {
	return filepath.Join(u.dir, strings.ReplaceAll(path, "/", "_"))
}

// taken is where one lives that was taken.
func (u *Uploads) taken(path string) string { return u.file(path) + ".taken" }

func (u *Uploads) block(path, id string) string {
	return u.file(path) + ".block-" + hex.EncodeToString([]byte(id))
}

// Put writes an upload whole. It is there when Put returns, or not at all; ErrTaken says
// that it is somebody's.
func (u *Uploads) Put(path string, r io.Reader) error {
	if err := u.open(path); err != nil {
		return err
	}
	return u.write(u.file(path), r)
}

// open returns an error unless an upload may be written.
func (u *Uploads) open(path string) error {
	if _, ok := Registry(path); !ok {
		return ErrNotFound
	}
	if _, err := os.Stat(u.taken(path)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrTaken, err)
	}
	return nil
}

// Take keeps a complete upload as it is: what comes after is refused, and what is being
// written goes nowhere. Taking it again changes nothing. ErrNotFound says that it is not
// there, or not the registry's.
func (u *Uploads) Take(path, registry string) error {
	if name, ok := Registry(path); !ok || !strings.EqualFold(name, registry) {
		return ErrNotFound
	}
	err := os.Link(u.file(path), u.taken(path))
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if u.Exists(path) { // somebody else has taken it just now
			return nil
		}
		return ErrNotFound
	case err != nil:
		return err
	}
	if err := os.Remove(u.file(path)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// PutBlock keeps a part of an upload; the same ID again replaces it.
func (u *Uploads) PutBlock(path, id string, r io.Reader) error {
	if len(id) > 64 {
		return ErrNotFound
	}
	if err := u.open(path); err != nil {
		return err
	}
	if err := u.checkBlocks(path); err != nil {
		return err
	}
	return u.write(u.block(path, id), r)
}

// checkBlocks returns ErrTooLarge if an upload has as many blocks, or as large ones, as it may
// have. The one that comes next may be one too many: it is what one request can add.
func (u *Uploads) checkBlocks(path string) error {
	blocks, err := filepath.Glob(u.file(path) + ".block-*")
	if err != nil {
		return err
	}
	if len(blocks) >= MaxBlocks {
		return ErrTooLarge
	}
	var size int64
	for _, block := range blocks {
		if info, err := os.Stat(block); err == nil { // it may be put together just now
			size += info.Size()
		}
	}
	if size > MaxSize {
		return ErrTooLarge
	}
	return nil
}

func (u *Uploads) write(name string, r io.Reader) error {
	tmp, err := os.CreateTemp(u.dir, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails when the rename has happened
	n, err := io.Copy(tmp, io.LimitReader(u.Reserve.Reader(r), MaxSize+1))
	if n > MaxSize {
		err = ErrTooLarge
	}
	if err == nil {
		err = tmp.Sync() // the run that is queued next counts on it
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// MaxBlocks is how many blocks an upload may have.
const MaxBlocks = 50_000

// PutBlockList makes an upload of the blocks with these IDs, in this order.
func (u *Uploads) PutBlockList(path string, ids []string) error {
	if len(ids) > MaxBlocks {
		return ErrTooLarge
	}
	blocks := &blockReader{}
	for _, id := range ids {
		blocks.files = append(blocks.files, u.block(path, id))
	}
	err := errors.Join(u.Put(path, blocks), blocks.Close())
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	for _, file := range blocks.files {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// blockReader reads files one after the other, one open at a time.
type blockReader struct {
	files []string
	next  int
	open  *os.File
}

func (b *blockReader) Read(p []byte) (int, error) {
	for {
		if b.open == nil {
			if b.next == len(b.files) {
				return 0, io.EOF
			}
			f, err := os.Open(b.files[b.next])
			if err != nil {
				return 0, err
			}
			b.open, b.next = f, b.next+1
		}
		n, err := b.open.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := b.Close(); err != nil {
			return 0, err
		}
	}
}

// Close closes the file that is open, if one is.
func (b *blockReader) Close() error {
	if b.open == nil {
		return nil
	}
	err := b.open.Close()
	b.open = nil
	return err
}

// Open opens an upload for reading. The caller closes it.
func (u *Uploads) Open(path string) (*os.File, error) {
	if _, ok := Registry(path); !ok {
		return nil, ErrNotFound
	}
	for _, file := range []string{u.taken(path), u.file(path), u.taken(path)} { // it may be taken between
		if f, err := os.Open(file); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, ErrNotFound
}

// Exists reports whether an upload is complete.
func (u *Uploads) Exists(path string) bool {
	f, err := u.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// sweepEvery is how often old uploads are looked for.
const sweepEvery = time.Hour

// Run removes old uploads until ctx ends. It is a background duty.
func (u *Uploads) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := u.Sweep(time.Now()); err != nil && u.Failed != nil {
			u.Failed(err) // and it is tried again: a server does not end for this
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Sweep removes uploads whose time is over.
func (u *Uploads) Sweep(now time.Time) error {
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || now.Sub(info.ModTime()) < keepFor {
			continue // young, or gone already
		}
		if err := os.Remove(filepath.Join(u.dir, entry.Name())); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

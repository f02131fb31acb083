// Package blobstore has the implementations of blob.Store: Local in files, S3 in an object store.
package blobstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/disk"
)

// Local is a Store in a directory: a file for each key, spread over 256 folders by its
// first byte. What is on its way can be written to, what is committed can not: so one
// sync makes content and commitment durable, and nothing has to be renamed.
type Local struct {
	// Reserve is what content leaves of the disk. Set before use; nil is nothing.
	Reserve *disk.Reserve

	dir string
}

// Modes of files. Whoever is root may write to all of them, so they are looked at.
const (
	onItsWay  = 0o600
	committed = 0o400
)

var _ blob.Store = (*Local)(nil)

// OpenLocal returns the store in dir, which is made if needed, with all its folders:
// an upload that ends need not wonder whether the one it goes to is durable.
func OpenLocal(dir string) (*Local, error) {
	if err := makeFolders(dir); err != nil {
		return nil, fmt.Errorf("the blob store: %w", err)
	}
	return &Local{dir: dir}, nil
}

func makeFolders(dir string) error {
	blobs := filepath.Join(dir, "blobs")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return err
	}
	for i := range 256 {
		err := os.Mkdir(filepath.Join(blobs, fmt.Sprintf("%02x", i)), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errors.Join(syncDir(blobs), syncDir(dir), syncDir(filepath.Dir(dir)))
}

func (l *Local) file(key blob.Key) string {
	return filepath.Join(l.dir, "blobs", string(key[:2]), string(key))
}

// validKey keeps keys from naming anything but files of the store.
func validKey(key blob.Key) bool {
	raw, err := hex.DecodeString(string(key))
	return err == nil && len(raw) == 16
}

func newKey() blob.Key {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return blob.Key(hex.EncodeToString(raw))
}

// Start implements Store.
func (l *Local) Start(context.Context) (blob.Upload, error) {
	if err := l.Reserve.Room(); err != nil {
		return nil, err
	}
	key := newKey()
	f, err := os.OpenFile(l.file(key), os.O_CREATE|os.O_EXCL|os.O_RDWR, onItsWay)
	if err != nil {
		return nil, fmt.Errorf("starting an upload: %w", err)
	}
	return &localUpload{key: key, file: f, hash: sha256.New(), reserve: l.Reserve}, nil
}

// Resume implements Store. Bytes beyond the state, from a request that was cut off
// by a crash, are dropped. A file that is shorter has lost bytes in a power failure,
// since Suspend does not sync: there is nothing to go on with.
func (l *Local) Resume(_ context.Context, state blob.State) (blob.Upload, error) {
	if !validKey(state.Key) {
		return nil, blob.ErrNotFound
	}
	f, err := os.OpenFile(l.file(state.Key), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("resuming an upload: %w", err)
	}
	info, err := f.Stat()
	if err == nil && (info.Size() < state.Size || info.Mode().Perm() == committed) {
		err = blob.ErrNotFound
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	u := &localUpload{key: state.Key, file: f, hash: sha256.New(), size: state.Size, reserve: l.Reserve}
	if err := u.restore(state); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return u, nil
}

// Open implements Store.
func (l *Local) Open(_ context.Context, key blob.Key) (blob.Blob, error) {
	if !validKey(key) {
		return nil, blob.ErrNotFound
	}
	f, err := os.Open(l.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm() != committed {
		err = blob.ErrNotFound
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &localBlob{File: f, size: info.Size()}, nil
}

// MinChunk implements Store.
func (l *Local) MinChunk() int64 { return 0 }

// Delete implements Store.
func (l *Local) Delete(_ context.Context, key blob.Key) error {
	if !validKey(key) {
		return nil
	}
	if err := os.Remove(l.file(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List implements Store.
func (l *Local) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		err := filepath.WalkDir(l.dir, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // deleted meanwhile
			}
			if !yield(blob.Info{Key: blob.Key(entry.Name()), Modified: info.ModTime()}, err) {
				return fs.SkipAll
			}
			return context.Cause(ctx)
		})
		if err != nil {
			yield(blob.Info{}, err)
		}
	}
}

// localUpload is a file and the hash of what is in it.
type localUpload struct {
	reserve *disk.Reserve
	key     blob.Key
	file    *os.File // nil once it is over
	hash    hash.Hash
	size    int64
}

func (u *localUpload) restore(state blob.State) error {
	if err := u.file.Truncate(state.Size); err != nil {
		return err
	}
	if _, err := u.file.Seek(state.Size, io.SeekStart); err != nil {
		return err
	}
	return restoreHash(u.hash, state.Hash)
}

// buffers are for copying: hashing needs the bytes in the process once.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// ReadFrom implements io.ReaderFrom.
func (u *localUpload) ReadFrom(r io.Reader) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(io.MultiWriter(onlyWriter{u.file}, u.hash), onlyReader{u.reserve.Reader(r)}, *buf)
	u.size += n
	return n, err
}

// onlyWriter and onlyReader hide the short cuts of files and sockets, with which
// io.CopyBuffer would not use the buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// Size implements Upload.
func (u *localUpload) Size() int64 { return u.size }

// Suspend implements Upload.
func (u *localUpload) Suspend() (blob.State, error) {
	state, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return blob.State{}, err
	}
	err = u.file.Close()
	u.file = nil
	return blob.State{Key: u.key, Size: u.size, Hash: state}, err
}

// Commit implements Upload.
func (u *localUpload) Commit(_ context.Context, want digest.Digest) (blob.Key, error) {
	have, err := u.digest(want.Algorithm())
	if err != nil {
		return "", err
	}
	if have != want {
		return "", blob.ErrDigest
	}
	if err := u.publish(); err != nil {
		return "", fmt.Errorf("keeping a blob: %w", err)
	}
	return u.key, nil
}

// digest returns the running sha256, or reads the file again for another algorithm.
func (u *localUpload) digest(algorithm digest.Algorithm) (digest.Digest, error) {
	if algorithm != digest.SHA512 {
		return digest.NewDigest(digest.SHA256, u.hash), nil
	}
	h := sha512.New()
	if _, err := io.Copy(h, io.NewSectionReader(u.file, 0, u.size)); err != nil {
		return "", err
	}
	return digest.NewDigest(digest.SHA512, h), nil
}

// publish makes the file durable, and its name.
func (u *localUpload) publish() error {
	if err := errors.Join(u.file.Chmod(committed), u.file.Sync()); err != nil {
		return err
	}
	dir := filepath.Dir(u.file.Name())
	err := u.file.Close()
	u.file = nil
	return errors.Join(err, syncDir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Cancel implements Upload.
func (u *localUpload) Cancel() error {
	if u.file == nil {
		return nil
	}
	err := errors.Join(u.file.Close(), os.Remove(u.file.Name()))
	u.file = nil
	return err
}

type localBlob struct {
	*os.File
	size int64
}

func (b *localBlob) Size() int64 { return b.size }

// small is up to where a section is read and written with whatever w has buffered, which
// is a system call less than sendfile.
const small = 16 << 10

// WriteTo implements Blob. The section is handed to w as the file itself, limited,
// which net/http turns into sendfile.
func (b *localBlob) WriteTo(w io.Writer, offset, n int64) (int64, error) {
	if n <= small {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		read, err := b.ReadAt((*buf)[:n], offset)
		written, errWrite := w.Write((*buf)[:read])
		if errWrite != nil || int64(read) == n {
			err = errWrite
		}
		return int64(written), err
	}
	if _, err := b.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	return io.CopyN(w, b.File, n)
}

// Package blob keeps content by storage key: blobs of registries, uploaded build
// contexts. Content is streamed in through an Upload, which hashes on the way and
// can be suspended and resumed in another request or process, and out of a Blob.
//
// A key is chosen for each upload and never used again, so that collecting an old
// copy of a digest never races with a client that pushes it anew. Which digest lies
// under which key, and who may read it, is metadata and kept elsewhere.
//
// Commit returns when the content is durable: an answer given after it survives a
// kill or a power loss. What a crash leaves behind is at most a file without
// metadata, which the orphan scan may remove.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// ErrNotFound says that there is no content under the key.
var ErrNotFound = errors.New("no such blob")

// ErrDigest says that the content does not have the digest it should have.
var ErrDigest = errors.New("the content does not match the digest")

// Key names content in a Store.
type Key string

// Store keeps content. Its methods are safe for concurrent use.
type Store interface {
	// Start begins an upload.
	Start(ctx context.Context) (Upload, error)
	// Resume goes on with a suspended one. One upload has one user at a time.
	Resume(ctx context.Context, state State) (Upload, error)
	// Open opens content for reading, or ErrNotFound.
	Open(ctx context.Context, key Key) (Blob, error)
	// MinChunk is how many bytes are worth a Suspend; 0 is any number. Fewer are taken too.
	MinChunk() int64
	// Delete removes content; it is no error if there is none.
	Delete(ctx context.Context, key Key) error
	// List yields all keys of which there is something, committed or not, with the time
	// of its last change. A key may come more than once.
	List(ctx context.Context) iter.Seq2[Info, error]
}

// Presigner is a Store whose content may be had from it directly.
type Presigner interface {
	// Presign returns a URL with which anybody reads the content for so long. It does not
	// look whether there is any.
	Presign(ctx context.Context, key Key, lifetime time.Duration) (string, error)
}

// Info is an entry of a listing.
type Info struct {
	Key      Key
	Modified time.Time
}

// Upload is content on its way in.
type Upload interface {
	// ReadFrom appends what r has, streaming.
	io.ReaderFrom
	// Size is how many bytes are there.
	Size() int64
	// Suspend need sync nothing but hands over what Resume needs; the upload is not used
	// afterwards. States that were handed over earlier stay good.
	Suspend() (State, error)
	// Commit checks the digest, or ErrDigest, and makes the content durable under the
	// returned key, which need not be that of earlier states.
	Commit(ctx context.Context, want digest.Digest) (Key, error)
	// Cancel throws the content away. After Commit or Suspend it does nothing.
	Cancel() error
}

// State is a suspended upload.
type State struct {
	Key  Key
	Size int64
	Hash []byte // state of the running sha256
	// Parts is what an object store must know beside: the multipart upload and its parts.
	// It is empty where there is none, and of some 40 bytes for each part.
	Parts string
}

// Blob is content open for reading. The caller closes it.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
	// WriteTo copies n bytes from offset to w, without copying through the process
	// where w is a socket.
	WriteTo(w io.Writer, offset, n int64) (int64, error)
}

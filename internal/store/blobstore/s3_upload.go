package blobstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "crypto/sha512" // for digests of clients
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/blob"
)

// minPart is the smallest part that S3 takes, but for the last one, in bytes.
const minPart = 5 << 20

// partSize is how large the part after n others is made: small ones for most blobs,
// which bounds the memory of an upload, and larger ones for those that would need more
// than the 10,000 parts that S3 takes. The first 1,000 are 8 GiB; all of them 1 TiB.
func partSize(n int) int64 {
	switch {
	case n < 1000:
		return 8 << 20
	case n < 4000:
		return 32 << 20
	}
	return 160 << 20
}

// s3Upload collects content until there is a part of it, which is sent while the next one
// is collected. Content that never fills one becomes an object at once, when it is
// committed.
type s3Upload struct {
	ctx     context.Context // of all requests; it outlives the caller's, who may be gone when the upload is suspended
	store   *S3
	key     blob.Key
	object  blob.Key // of the content: another than key where two servers might come to write it
	hash    hash.Hash
	size    int64
	buf     *bytes.Buffer // what is in no part yet
	parts   s3Parts
	sending chan error // the end of the part that is on its way; nil if there is none
	spare   *bytes.Buffer
	failed  error // of a part: the upload cannot go on from here, only from an earlier state
	resumed bool  // there may be things in the bucket that the state does not name
	over    bool
}

// s3Parts is the state of an upload beside its size and hash.
type s3Parts struct {
	ID    string   `json:"id,omitempty"`    // of the multipart upload, once there is one
	ETags []string `json:"etags,omitempty"` // of its parts, from 1
	Tail  string   `json:"tail,omitempty"`  // the object with what is in no part
}

func newS3Upload(ctx context.Context, s *S3, key blob.Key) *s3Upload {
	return &s3Upload{ctx: patient(context.WithoutCancel(ctx)), store: s, key: key, object: key,
		hash: sha256.New(), buf: new(bytes.Buffer), spare: new(bytes.Buffer)}
}

func restoreHash(h hash.Hash, state []byte) error {
	return h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}

// check fetches the tail, and sees whether the multipart upload is still there.
func (u *s3Upload) check() error {
	s := u.store
	if u.parts.ID != "" {
		if _, err := s.core.ListObjectParts(u.ctx, s.bucket, s.object(u.key), u.parts.ID, 0, 1); err != nil {
			return err
		}
	}
	if u.parts.Tail == "" {
		return nil
	}
	body, _, _, err := s.core.GetObject(u.ctx, s.bucket, s.tails(u.key)+u.parts.Tail, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	_, err = u.buf.ReadFrom(io.LimitReader(body, minPart))
	return errors.Join(err, body.Close())
}

// Size implements Upload.
func (u *s3Upload) Size() int64 { return u.size }

// ReadFrom implements io.ReaderFrom. A part leaves as soon as it is full.
func (u *s3Upload) ReadFrom(r io.Reader) (total int64, err error) {
	chunk := buffers.Get().(*[]byte)
	defer buffers.Put(chunk)
	for {
		room := partSize(len(u.parts.ETags)) - int64(u.buf.Len())
		n, err := io.CopyBuffer(io.MultiWriter(onlyWriter{u.buf}, u.hash), onlyReader{io.LimitReader(r, room)}, *chunk)
		total, u.size = total+n, u.size+n
		if err != nil || n < room {
			return total, err
		}
		if err := u.flush(); err != nil {
			return total, err
		}
	}
}

// flush begins to send what is buffered as a part, when the one before has arrived.
func (u *s3Upload) flush() error {
	if err := u.await(); err != nil {
		return err
	}
	s, name := u.store, u.store.object(u.key)
	if u.parts.ID == "" {
		id, err := s.core.NewMultipartUpload(u.ctx, s.bucket, name, minio.PutObjectOptions{ContentType: contentType})
		if err != nil {
			return s.failed(u.ctx, "beginning an upload in parts", err)
		}
		u.parts.ID = id
	}
	u.parts.ETags = append(u.parts.ETags, "")
	n, body, sum, etag := len(u.parts.ETags), u.buf.Bytes(), u.sum(), &u.parts.ETags[len(u.parts.ETags)-1]
	u.buf, u.spare = u.spare, u.buf
	u.buf.Reset()
	done := make(chan error, 1)
	u.sending = done
	go func() {
		part, err := s.core.PutObjectPart(u.ctx, s.bucket, name, u.parts.ID, n, bytes.NewReader(body), int64(len(body)), minio.PutObjectPartOptions{Sha256Hex: sum, DisableContentSha256: true})
		*etag = part.ETag
		done <- err
	}()
	return nil
}

// await waits for the part that is on its way.
func (u *s3Upload) await() error {
	if u.sending != nil {
		u.failed = u.store.failed(u.ctx, "uploading a part", <-u.sending)
		u.sending = nil
	}
	return u.failed
}

const contentType = "application/octet-stream"

// sum is the hash of what is buffered, with which the object store checks that it arrived
// as it was sent. The other way, a signature for each chunk of the body, is an encoding
// that some stores keep, and show to those who read the object without us.
func (u *s3Upload) sum() string {
	sum := sha256.Sum256(u.buf.Bytes())
	return hex.EncodeToString(sum[:])
}

// put makes an object of what is buffered.
func (u *s3Upload) put(name string) error {
	_, err := u.store.core.PutObject(u.ctx, u.store.bucket, name, bytes.NewReader(u.buf.Bytes()), int64(u.buf.Len()), "", u.sum(),
		minio.PutObjectOptions{ContentType: contentType, DisableContentSha256: true})
	return err
}

// Suspend implements Upload. What is too small for a part is kept beside the parts, under
// a name that no earlier state knows: that one must still be good if this one is lost.
func (u *s3Upload) Suspend() (blob.State, error) {
	u.over = true
	if u.buf.Len() >= minPart {
		if err := u.flush(); err != nil {
			return blob.State{}, err
		}
	}
	if err := u.await(); err != nil {
		return blob.State{}, err
	}
	u.parts.Tail = ""
	if u.buf.Len() > 0 {
		u.parts.Tail = string(newKey())
		if err := u.put(u.store.tails(u.key) + u.parts.Tail); err != nil {
			return blob.State{}, u.store.failed(u.ctx, "keeping the end of an upload", err)
		}
	}
	state, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return blob.State{}, err
	}
	parts, err := json.Marshal(u.parts)
	return blob.State{Key: u.key, Size: u.size, Hash: state, Parts: string(parts)}, err
}

// Commit implements Upload.
func (u *s3Upload) Commit(ctx context.Context, want digest.Digest) (blob.Key, error) {
	if u.failed != nil {
		return "", u.failed
	}
	if want.Algorithm() != digest.SHA512 && digest.NewDigest(digest.SHA256, u.hash) != want {
		return "", blob.ErrDigest
	}
	switch err := u.publish(); {
	case errors.Is(err, errUnsaid):
		if why := u.reread(want); problem.Is(why, problem.Away) {
			return "", why
		} else if why != nil {
			return "", u.store.failed(u.ctx, "keeping a blob", err)
		}
	case err != nil:
		return "", u.store.failed(u.ctx, "keeping a blob", err)
	case want.Algorithm() == digest.SHA512:
		if err := u.reread(want); err != nil {
			return "", err
		}
	}
	if u.resumed {
		if err := u.store.removeRest(u.ctx, u.key); err != nil {
			return "", u.store.failed(u.ctx, "keeping a blob", err)
		}
	}
	u.over = true
	return u.object, nil
}

// reread compares the object with a digest: a sha512, or any if the store did not say
// whether it has the object. Parts cannot be read before they are an
// object, but nobody knows its key until Commit returns it; and where the digest is
// wrong, it goes with Cancel.
func (u *s3Upload) reread(want digest.Digest) error {
	b, err := u.store.Open(context.WithoutCancel(u.ctx), u.object)
	if err != nil {
		return err
	}
	h := want.Algorithm().Hash()
	if _, err := b.WriteTo(h, 0, b.Size()); err != nil {
		return fmt.Errorf("reading a blob again: %w", err)
	}
	if digest.NewDigest(want.Algorithm(), h) != want {
		return blob.ErrDigest
	}
	return nil
}

// errUnsaid says that the object may be there or not: the end of an upload was not answered,
// or was sent again and found that there is no such upload any more. That may be so because
// another server ended it, with content of its own.
var errUnsaid = errors.New("the object store did not say whether it has the object")

// publish makes the object: of its parts, which is done once, or at once. In the latter
// case two servers that go on with one upload write an object each, and the one whose row
// is refused cannot have changed the other's.
func (u *s3Upload) publish() error {
	s, name := u.store, u.store.object(u.key)
	if u.parts.ID == "" {
		if u.resumed {
			u.object = newKey()
		}
		return u.put(s.object(u.object))
	}
	if u.buf.Len() > 0 {
		if err := u.flush(); err != nil {
			return err
		}
	}
	if err := u.await(); err != nil {
		return err
	}
	parts := make([]minio.CompletePart, len(u.parts.ETags))
	for i, etag := range u.parts.ETags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
	}
	_, err := s.core.CompleteMultipartUpload(u.ctx, s.bucket, name, u.parts.ID, parts, minio.PutObjectOptions{})
	if err != nil && (missing(err) || problem.Is(s.failed(u.ctx, "", err), problem.Away)) {
		err = fmt.Errorf("%w: %w", errUnsaid, err)
	}
	return err
}

// Cancel implements Upload.
func (u *s3Upload) Cancel() error {
	if u.over {
		return nil
	}
	u.over = true
	_ = u.await() // it goes with the others
	err := u.store.Delete(u.ctx, u.key)
	if u.object != u.key {
		err = errors.Join(err, u.store.Delete(u.ctx, u.object))
	}
	return err
}

package blobstore

import (
	"context"
	"errors"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/acrux/acrux/internal/blob"
)

// s3Blob is an object. Each read is a request of its own, and streams.
type s3Blob struct {
	ctx   context.Context
	store *S3
	name  string
	size  int64
}

// Size implements Blob.
func (b *s3Blob) Size() int64 { return b.size }

// Close implements io.Closer.
func (b *s3Blob) Close() error { return nil }

// section opens n bytes, one at least, from offset.
func (b *s3Blob) section(offset, n int64) (io.ReadCloser, error) {
	opts := minio.GetObjectOptions{}
	if offset != 0 || n != b.size {
		if err := opts.SetRange(offset, offset+n-1); err != nil {
			return nil, err
		}
	}
	body, _, _, err := b.store.core.GetObject(b.ctx, b.store.bucket, b.name, opts)
	if missing(err) {
		return nil, blob.ErrNotFound
	}
	return body, err
}

// ReadAt implements io.ReaderAt.
func (b *s3Blob) ReadAt(p []byte, offset int64) (int, error) {
	want := p[:max(0, min(int64(len(p)), b.size-offset))]
	if len(want) == 0 {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	into := &filled{rest: want}
	n, err := b.WriteTo(into, offset, int64(len(want)))
	if err == nil && int(n) < len(p) {
		err = io.EOF
	}
	return int(n), err
}

// filled is a writer into memory.
type filled struct{ rest []byte }

func (f *filled) Write(p []byte) (int, error) {
	n := copy(f.rest, p)
	f.rest = f.rest[n:]
	return n, nil
}

// WriteTo implements Blob. When the store breaks off, the rest is asked for anew: objects do
// not change. That is done again as long as something comes.
func (b *s3Blob) WriteTo(w io.Writer, offset, n int64) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var total, since int64
	for tries := 0; total < n; {
		copied, read, written := b.copy(w, offset+total, n-total, *buf)
		total, since = total+copied, since+copied
		if since >= minPart {
			tries, since = 0, 0
		}
		tries++
		switch {
		case written != nil:
			return total, written
		case read != nil && (tries > resumes || errors.Is(read, blob.ErrNotFound) || b.ctx.Err() != nil || total == 0):
			return total, b.failed(read)
		}
	}
	return total, nil
}

// resumes is how often a transfer that broke off is taken up without minPart bytes between.
const resumes = 2

func (b *s3Blob) failed(err error) error {
	if errors.Is(err, blob.ErrNotFound) {
		return err
	}
	return b.store.failed(b.ctx, "reading a blob", err)
}

// copy copies n bytes, one at least, from offset, and tells who failed, the store or w.
func (b *s3Blob) copy(w io.Writer, offset, n int64, buf []byte) (copied int64, read, written error) {
	body, err := b.section(offset, n)
	if err != nil {
		return 0, err, nil
	}
	defer body.Close()
	from := &blamed{r: io.LimitReader(body, n)}
	copied, err = io.CopyBuffer(onlyWriter{w}, onlyReader{from}, buf)
	switch {
	case from.err != nil:
		return copied, from.err, nil
	case err == nil && copied < n:
		return copied, io.ErrUnexpectedEOF, nil
	}
	return copied, nil, err
}

// blamed is a reader that remembers its error.
type blamed struct {
	r   io.Reader
	err error
}

func (b *blamed) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != io.EOF {
		b.err = err
	}
	return n, err
}

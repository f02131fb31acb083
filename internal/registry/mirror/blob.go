package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// blobsAtOnce is how many blobs of an import are fetched at the same time.
const blobsAtOnce = 4

// blobs brings blobs into a repository, those that are not there.
func (f *fetcher) blobs(ctx context.Context, to registry.Name, all []v1.Descriptor) error {
	if err := f.begin(ctx, all); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobsAtOnce)
	for _, d := range all {
		group.Go(func() error { return f.blob(ctx, to, d) })
	}
	return group.Wait()
}

// share links blobs of one target in another.
func (f *fetcher) share(ctx context.Context, to, from registry.Name, all []v1.Descriptor) error {
	for _, d := range all {
		if _, err := f.Content.Mount(ctx, to, from, digest.Digest(d.Digest.String()), time.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (f *fetcher) blob(ctx context.Context, to registry.Name, d v1.Descriptor) error {
	sum := digest.Digest(d.Digest.String())
	_, err := f.Content.Blob(ctx, to, sum)
	if err == nil {
		return f.advance(ctx, d.Size, 1)
	}
	if !problem.Is(err, problem.NotFound) {
		return err
	}
	r := &blobReader{fetcher: f, ctx: ctx, blob: d}
	_, err = f.Content.AddBlob(ctx, to, r, sum, time.Now())
	r.close()
	if status(err) == http.StatusNotFound {
		return errors.Join(&registry.MissingError{Digest: sum}, err)
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", sum, err)
	}
	return f.advance(ctx, 0, 1)
}

// attempts is how often a blob is tried without getting on by patience bytes.
const (
	attempts = 5
	patience = 1 << 20
)

// blobReader reads as many bytes of a blob as the manifest says there are. When the
// connection breaks or stalls it goes on where it was, with a range if the source knows
// ranges. That they are the right bytes is for the digest to say.
type blobReader struct {
	*fetcher
	ctx  context.Context
	blob v1.Descriptor

	body   io.ReadCloser // nil without a connection
	cancel context.CancelFunc
	watch  *time.Timer // cancels when nothing comes
	at     int64
	tries  int   // since the byte below
	since  int64 // byte
}

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	for r.at < r.blob.Size {
		n, err := r.read(p[:min(int64(len(p)), r.blob.Size-r.at)])
		r.at += int64(n)
		if err != nil && r.at < r.blob.Size {
			r.close()
			if err := r.again(err); err != nil {
				return n, err
			}
		}
		if n > 0 {
			return n, r.advance(r.ctx, int64(n), 0)
		}
	}
	return 0, io.EOF
}

// read reads from the connection, which it makes if need be.
func (r *blobReader) read(p []byte) (int, error) {
	if r.body == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	r.watch.Reset(r.stall())
	n, err := r.body.Read(p)
	r.watch.Stop()
	return n, err
}

// open asks for the blob from where the reader is.
func (r *blobReader) open() error {
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(r.ctx)
	r.watch = time.AfterFunc(r.stall(), r.cancel)
	repository := r.source.Context()
	u := url.URL{Scheme: repository.Scheme(), Host: repository.RegistryStr(), Path: "/v2/" + repository.RepositoryStr() + "/blobs/" + r.blob.Digest.String()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if r.at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.at))
	}
	res, err := (&http.Client{Transport: r.signedIn}).Do(req)
	if err != nil {
		return err
	}
	if err := transport.CheckError(res, http.StatusOK, http.StatusPartialContent); err != nil {
		return errors.Join(err, res.Body.Close())
	}
	r.body = res.Body
	return r.position(res)
}

// position makes the body of an answer begin where the reader is.
func (r *blobReader) position(res *http.Response) error {
	begins := int64(0)
	if res.StatusCode == http.StatusPartialContent {
		if begins = r.at; !strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", r.at)) {
			return fmt.Errorf("asked for byte %d, the source sent %q", r.at, res.Header.Get("Content-Range"))
		}
	}
	if res.ContentLength >= 0 && begins+res.ContentLength != r.blob.Size {
		return problem.New(problem.Unavailable, "SourceFailed", "The registry '%s' has %d bytes of blob %s, and the manifest says that it has %d.",
			r.order.Source.Host, begins+res.ContentLength, r.blob.Digest, r.blob.Size)
	}
	buf := make([]byte, 32<<10)
	for begins < r.at { // it knows no ranges
		r.watch.Reset(r.stall())
		n, err := res.Body.Read(buf[:min(int64(len(buf)), r.at-begins)])
		if begins += int64(n); err != nil && begins < r.at {
			return err
		}
	}
	return nil
}

// close ends the connection, if there is one.
func (r *blobReader) close() {
	if r.watch != nil {
		r.watch.Stop()
		r.cancel()
	}
	if r.body != nil {
		_ = r.body.Close() // what matters of it was read
		r.body = nil
	}
}

// again waits before the next attempt, or returns why there is none.
func (r *blobReader) again(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if r.at >= r.since+patience {
		r.tries, r.since = 0, r.at
	}
	r.tries++
	if r.tries >= attempts || r.ctx.Err() != nil || final(err) {
		return errors.Join(context.Cause(r.ctx), err)
	}
	select {
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case <-time.After(r.pause() << (r.tries - 1)):
		return nil
	}
}

// final reports whether the source, or we, would say the same again.
func final(err error) bool {
	var p *problem.Error
	var status *transport.Error
	return errors.As(err, &p) || errors.As(err, &status) && !slices.Contains(passing, status.StatusCode)
}

// status is the one that a source answered with, or 0.
func status(err error) int {
	var said *transport.Error
	if errors.As(err, &said) {
		return said.StatusCode
	}
	return 0
}

func (m *Imports) pause() time.Duration {
	if m.Pause > 0 {
		return m.Pause
	}
	return time.Second
}

func (m *Imports) stall() time.Duration {
	if m.Stall > 0 {
		return m.Stall
	}
	return time.Minute
}

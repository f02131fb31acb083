package registry

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/blob"
)

// uploadTTL is how long an upload may rest before it is swept away.
const uploadTTL = 24 * time.Hour

// What pushes that were begun and not ended may be of one registry: they take space that no
// quota counts.
const (
	maxBegun      = 1000
	maxBegunBytes = 64 << 30
)

// checkBegun refuses another upload while there are too many.
func (c *Content) checkBegun(ctx context.Context, registry string) error {
	n, bytes, err := c.Store.BegunUploads(ctx, registry)
	if err != nil {
		return err
	}
	if n < maxBegun && bytes < maxBegunBytes {
		return nil
	}
	return problem.New(problem.Limited, "TOOMANYREQUESTS",
		"%d uploads with %d bytes were begun in this registry and have not ended; end or cancel them, or wait: they go after %s", n, bytes, uploadTTL)
}

// StartUpload begins a blob push.
func (c *Content) StartUpload(ctx context.Context, name Name, now time.Time) (Upload, error) {
	if err := checkName(name); err != nil {
		return Upload{}, err
	}
	if err := c.checkRepository(ctx, name, toWrite); err != nil {
		return Upload{}, err
	}
	if err := c.checkBegun(ctx, name.Registry); err != nil {
		return Upload{}, err
	}
	content, err := c.Blobs.Start(ctx)
	if err != nil {
		return Upload{}, err
	}
	u, err := c.suspend(ctx, Upload{ID: uuid.NewString(), Name: name}, content, now)
	if err != nil && u.State.Key != "" { // nobody will go on with it
		err = errors.Join(err, c.Blobs.Delete(context.WithoutCancel(ctx), u.State.Key))
	}
	return u, err
}

// suspend keeps an upload for its next request.
func (c *Content) suspend(ctx context.Context, u Upload, content blob.Upload, now time.Time) (Upload, error) {
	state, err := content.Suspend()
	if err != nil {
		return u, err
	}
	u.State, u.Expires, u.Version = state, now.Add(uploadTTL), u.Version+1
	return u, wire(c.Store.PutUpload(ctx, u), u.Name, u.ID)
}

// Upload returns a blob push of the repository.
func (c *Content) Upload(ctx context.Context, name Name, id string) (Upload, error) {
	u, err := c.Store.Upload(ctx, id)
	if err == nil && u.Name != name {
		err = ErrNoUpload // somebody else's
	}
	return u, wire(err, name, id)
}

// hold makes the caller the only user of an upload, in the state in which he saw it.
// Two writers would mix their bytes in one file, and the running hash of one of them
// would vouch for the mixture.
func (c *Content) hold(ctx context.Context, u Upload) (release func(), err error) {
	if _, taken := c.busy.LoadOrStore(u.ID, true); taken {
		return nil, wire(ErrUploadMoved, u.Name, u.ID)
	}
	release = func() { c.busy.Delete(u.ID) }
	current, err := c.Store.Upload(ctx, u.ID)
	if err == nil && current.Version != u.Version {
		err = ErrUploadMoved
	}
	if err != nil {
		release()
		return nil, wire(err, u.Name, u.ID)
	}
	return release, nil
}

// Append adds what r has to an upload. What arrived before an error stays.
func (c *Content) Append(ctx context.Context, u Upload, r io.Reader, now time.Time) (Upload, error) {
	release, err := c.hold(ctx, u)
	if err != nil {
		return u, err
	}
	defer release()
	content, err := c.resume(ctx, u)
	if err != nil {
		return u, err
	}
	_, readErr := content.ReadFrom(r)
	if errors.Is(readErr, syscall.ENOSPC) {
		// Clients begin anew after this, and the space is needed.
		return u, errors.Join(readErr, content.Cancel())
	}
	// The client may be gone, and its context with it: what arrived is kept all the same.
	u, err = c.suspend(context.WithoutCancel(ctx), u, content, now)
	return u, errors.Join(readErr, err)
}

func (c *Content) resume(ctx context.Context, u Upload) (blob.Upload, error) {
	content, err := c.Blobs.Resume(ctx, u.State)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, unknownUpload(u.ID).Because(err)
	}
	return content, err
}

// Finish adds the rest of the content, if there is any, and makes the upload a blob
// of the repository. When it returns, the blob is durable.
func (c *Content) Finish(ctx context.Context, u Upload, rest io.Reader, want digest.Digest, now time.Time) (Blob, error) {
	release, err := c.hold(ctx, u)
	if err != nil {
		return Blob{}, err
	}
	defer release()
	content, err := c.resume(ctx, u)
	if err != nil {
		return Blob{}, err
	}
	return c.commit(ctx, u.Name, content, rest, want, u.ID, now)
}

// AddBlob streams a whole blob into the repository.
func (c *Content) AddBlob(ctx context.Context, name Name, r io.Reader, want digest.Digest, now time.Time) (Blob, error) {
	if err := checkName(name); err != nil {
		return Blob{}, err
	}
	if err := c.checkRepository(ctx, name, toWrite); err != nil {
		return Blob{}, err
	}
	content, err := c.Blobs.Start(ctx)
	if err != nil {
		return Blob{}, err
	}
	return c.commit(ctx, name, content, r, want, "", now)
}

// commit ends an upload, which has a row if it has an ID: a blob, or nothing.
func (c *Content) commit(ctx context.Context, name Name, content blob.Upload, rest io.Reader, want digest.Digest, id string, now time.Time) (Blob, error) {
	if _, err := content.ReadFrom(rest); err != nil {
		return Blob{}, errors.Join(err, content.Cancel())
	}
	size := content.Size()
	key, err := content.Commit(ctx, want)
	if errors.Is(err, blob.ErrDigest) {
		err = problem.New(problem.Invalid, "DIGEST_INVALID", "provided digest did not match uploaded content").On(want.String()).Because(err)
	}
	if err != nil {
		return Blob{}, errors.Join(err, content.Cancel())
	}
	mine := Blob{Digest: want, Size: size, Key: key}
	kept, err := c.link(ctx, name, mine, id, now)
	var refused *problem.Error
	switch {
	case err == nil && kept.Key != key: // the content was here already
		err = c.Blobs.Delete(ctx, key)
	case errors.As(err, &refused) && refused.Kind != problem.NotFound || errors.Is(err, syscall.ENOSPC):
		// No row was written; after other errors it may have been, by another server if the upload is gone.
		err = errors.Join(err, c.Blobs.Delete(context.WithoutCancel(ctx), key))
	}
	return kept, err
}

// link makes a committed blob one of the repository, and ends its upload with it: a row
// that outlived that would have the content swept away later.
func (c *Content) link(ctx context.Context, name Name, b Blob, id string, now time.Time) (kept Blob, err error) {
	err = c.Store.InTx(ctx, func(ctx context.Context) error {
		if id != "" {
			if err := c.Store.DeleteUpload(ctx, id); err != nil {
				return err
			}
		}
		if err := c.enter(ctx, name, now); err != nil {
			return err
		}
		kept, err = c.Store.AddBlob(ctx, name, b, now)
		return err
	})
	return kept, wire(err, name, id)
}

// CancelUpload throws an upload away.
func (c *Content) CancelUpload(ctx context.Context, u Upload) error {
	release, err := c.hold(ctx, u)
	if err != nil {
		return err
	}
	defer release()
	if err := c.Store.DeleteUpload(ctx, u.ID); err != nil {
		return wire(err, u.Name, u.ID)
	}
	return c.Blobs.Delete(ctx, u.State.Key)
}

// SweepUploads throws away uploads whose time is over.
func (c *Content) SweepUploads(ctx context.Context, now time.Time) error {
	expired, err := c.Store.ExpiredUploads(ctx, now)
	if err != nil {
		return err
	}
	for _, u := range expired {
		// One that is gone or in use by now is none of ours.
		if err := c.CancelUpload(ctx, u); err != nil && !problem.Is(err, problem.NotFound) && !problem.Is(err, problem.Conflict) {
			return err
		}
	}
	return nil
}

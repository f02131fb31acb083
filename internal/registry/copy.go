package registry

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
)

// Copy makes the manifest that reference names in one repository, and everything
// below it, available in another as well: rows, no bytes. The caller has checked the
// right to read the source.
func (c *Content) Copy(ctx context.Context, from Name, reference string, to Name, tags []string, actor string, now time.Time) (Manifest, error) {
	if err := checkName(to); err != nil {
		return Manifest{}, err
	}
	if err := c.Reserve.Room(); err != nil {
		return Manifest{}, err
	}
	var top Manifest
	err := c.Store.InTx(ctx, func(ctx context.Context) error {
		if err := c.enter(ctx, to, now); err != nil {
			return err
		}
		var err error
		if top, err = c.copyManifest(ctx, from, reference, to, now, map[digest.Digest]bool{}); err != nil {
			return err
		}
		return c.tagAll(ctx, to, top.Digest, tags, actor, now)
	})
	return top, wire(err, from, reference)
}

// copyManifest copies a manifest and what is below it, but for those that are done: an
// index that names others may be named by many.
func (c *Content) copyManifest(ctx context.Context, from Name, reference string, to Name, now time.Time, done map[digest.Digest]bool) (Manifest, error) {
	m, err := c.Pull(ctx, from, reference)
	if err != nil {
		return m, err
	}
	if err := c.checkManifest(ctx, to, m.Digest, toWrite); err != nil {
		return m, err
	}
	parsed, err := parseManifest(m.MediaType, m.Body)
	if err != nil {
		return m, err
	}
	done[m.Digest] = true
	loose, err := c.copyChildren(ctx, from, parsed, to, now, done)
	if err != nil {
		return m, err
	}
	parsed.takeAsBlobs(loose)
	for _, d := range parsed.Blobs {
		if err := c.copyBlob(ctx, from, d, to, now); err != nil {
			return m, err
		}
	}
	m.Blobs, m.Children, m.Created, m.Updated, m.Attributes = parsed.Blobs, parsed.Children, now, now, parsed.Attributes
	return m, c.Store.PutManifest(ctx, to, m)
}

// copyChildren copies what an index names, but for what are no manifests and may be blobs.
func (c *Content) copyChildren(ctx context.Context, from Name, index Manifest, to Name, now time.Time,
	done map[digest.Digest]bool) (loose []digest.Digest, err error) {
	mayBeBlob := setOf(index.Loose)
	for _, child := range index.Children {
		if done[child] {
			continue
		}
		_, err := c.Pull(ctx, from, child.String())
		switch {
		case errors.Is(err, ErrNoManifest) && mayBeBlob[child]:
			loose = append(loose, child)
			continue
		case errors.Is(err, ErrNoManifest):
			return nil, &MissingError{Digest: child}
		}
		if _, err := c.copyManifest(ctx, from, child.String(), to, now, done); err != nil {
			return nil, err
		}
	}
	return loose, nil
}

// copyBlob links a blob of one repository in another.
func (c *Content) copyBlob(ctx context.Context, from Name, d digest.Digest, to Name, now time.Time) error {
	b, err := c.Store.Blob(ctx, from, d)
	if errors.Is(err, ErrNoBlob) {
		return &MissingError{Digest: d}
	}
	if err == nil {
		_, err = c.Store.AddBlob(ctx, to, b, now)
	}
	return err
}

// MissingError says that an image names something that is not where the image is.
type MissingError struct{ Digest digest.Digest }

func (e *MissingError) Error() string {
	return "the image names " + e.Digest.String() + ", which is not there"
}

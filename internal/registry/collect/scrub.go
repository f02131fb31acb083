package collect

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/registry"
)

// Rot is content that is not what its digest says.
type Rot struct {
	Digest digest.Digest
	What   string  // what is wrong
	Images []Image // that need it, up to a hundred
}

// Scrubbed is what was looked at.
type Scrubbed struct {
	Blobs     Amount
	Manifests Amount
}

// Scrub reads everything and tells found about what is missing or not as it was pushed.
// It changes nothing.
func (c *Collector) Scrub(ctx context.Context, found func(Rot) error) (Scrubbed, error) {
	var sum Scrubbed
	tell := func(d digest.Digest, what string) error {
		images, err := c.Store.Images(ctx, d, batch)
		if err != nil {
			return err
		}
		return found(Rot{Digest: d, What: what, Images: images})
	}
	for after := digest.Digest(""); ; {
		all, err := c.Store.Payloads(ctx, after, batch)
		if err != nil {
			return sum, err
		}
		if len(all) == 0 {
			break
		}
		for _, m := range all {
			sum.Manifests = sum.Manifests.Plus(Amount{1, int64(len(m.Body))})
			if have := m.Digest.Algorithm().FromBytes(m.Body); have != m.Digest {
				if err := tell(m.Digest, "the manifest in the database has the digest "+have.String()); err != nil {
					return sum, err
				}
			}
		}
		after = all[len(all)-1].Digest
	}
	for after := digest.Digest(""); ; {
		all, err := c.Store.Blobs(ctx, after, batch)
		if err != nil || len(all) == 0 {
			return sum, err
		}
		for _, b := range all {
			sum.Blobs = sum.Blobs.Plus(Amount{1, b.Size})
			what, err := c.examine(ctx, b)
			if err == nil && what != "" {
				err = tell(b.Digest, what)
			}
			if err != nil {
				return sum, err
			}
		}
		after = all[len(all)-1].Digest
	}
}

// examine says what is wrong with a blob, if anything.
func (c *Collector) examine(ctx context.Context, b registry.Blob) (what string, err error) {
	content, err := c.Blobs.Open(ctx, b.Key)
	if errors.Is(err, blob.ErrNotFound) {
		return c.missing(ctx, b)
	}
	if err != nil {
		return "", err
	}
	defer content.Close()
	if content.Size() != b.Size {
		return fmt.Sprintf("the content has %d bytes of %d", content.Size(), b.Size), nil
	}
	verifier := b.Digest.Algorithm().Digester()
	if _, err := content.WriteTo(&contextWriter{ctx, verifier.Hash()}, 0, b.Size); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "the content cannot be read: " + err.Error(), nil
	}
	if have := verifier.Digest(); have != b.Digest {
		return "the content has the digest " + have.String(), nil
	}
	return "", nil
}

// missing says so unless the blob was collected since it was listed.
func (c *Collector) missing(ctx context.Context, b registry.Blob) (string, error) {
	known, err := c.Store.Known(ctx, b.Key)
	if err != nil || !known {
		return "", err
	}
	return "there is no content", nil
}

// contextWriter ends a long copy when its context ends.
type contextWriter struct {
	ctx context.Context
	io.Writer
}

func (w *contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

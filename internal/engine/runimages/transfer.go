package runimages

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// Pull is engine.Puller's.
func Pull(ctx context.Context, images *imagestore.Run, image string, out io.Writer) (engine.PullResult, error) {
	var pulled imagestore.Image
	ok, refused, err := transfer(ctx, image, out, func(named reference.Named) (err error) {
		pulled, err = images.Pull(ctx, named, out)
		return err
	})
	return engine.PullResult{OK: ok, Digest: pulled.Target.Digest.String(), Refused: refused}, err
}

// Push is engine.Scope's.
func Push(ctx context.Context, images *imagestore.Run, image string, out io.Writer) (engine.PushResult, error) {
	var manifest ocispec.Descriptor
	ok, refused, err := transfer(ctx, image, out, func(named reference.Named) (err error) {
		manifest, err = images.Push(ctx, named, out)
		return err
	})
	return engine.PushResult{OK: ok, Digest: manifest.Digest.String(), Size: manifest.Size, Refused: refused}, err
}

// transfer does what goes to or comes from a registry, and tells out why it did not
// work if the reason lies there.
func transfer(ctx context.Context, image string, out io.Writer, do func(reference.Named) error) (ok bool, by *registryclient.Refusal, err error) {
	named, err := imagestore.Parse(image)
	if err != nil {
		_, err = fmt.Fprintln(out, err)
		return false, nil, err
	}
	err = do(named)
	switch {
	case err == nil:
		return true, nil, nil
	case ctx.Err() != nil:
		return false, nil, context.Cause(ctx)
	case imagestore.AtRegistry(err), errors.Is(err, imagestore.ErrNoPlatform), errors.Is(err, imagestore.ErrNoImage):
		by = imagestore.RefusalIn(err)
		_, err = fmt.Fprintln(out, err)
	}
	return false, by, err
}

package imagestore

import (
	"context"
	"fmt"
	"io"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Pull pulls image, tells out about it as a docker client would, and keeps it under
// its name for this run. A registry that refuses gives a *Refusal.
func (r *Run) Pull(ctx context.Context, image reference.Named, out io.Writer) (Image, error) {
	fmt.Fprint(out, PullStart(image))
	resolved, err := r.Resolve(ctx, image, nil)
	if err != nil {
		return Image{}, err
	}
	here := map[digest.Digest]bool{}
	for _, layer := range resolved.Layers {
		_, err := r.store.content.Info(r.within(ctx), layer.Digest)
		here[layer.Digest] = err == nil
	}
	ctx = r.within(ctx)
	if err := r.fetch(ctx, r.resolver(nil), image, resolved.Target, matcher(nil), true); err != nil {
		return Image{}, r.refused(ctx, image, pulling, err)
	}
	for _, layer := range resolved.Layers {
		state := "Pull complete"
		if here[layer.Digest] {
			state = "Already exists"
		}
		fmt.Fprintf(out, "%s: %s\n", short(layer.Digest), state)
	}
	if err := r.store.set(ctx, r.Name(image), resolved.Target); err != nil {
		return Image{}, err
	}
	if err := r.store.remember(ctx, resolved.Target); err != nil {
		return Image{}, err
	}
	fmt.Fprint(out, PullEnd(image, resolved.Target.Digest, resolved.Complete))
	return resolved, nil
}

// PullStart is the first line of a pull.
func PullStart(image reference.Named) string {
	return fmt.Sprintf("%s: Pulling from %s\n", tagOrDigest(image), reference.Path(image))
}

// PullEnd is the last two lines of a pull.
func PullEnd(image reference.Named, digest digest.Digest, upToDate bool) string {
	status := "Downloaded newer image"
	if upToDate {
		status = "Image is up to date"
	}
	return fmt.Sprintf("Digest: %s\nStatus: %s for %s\n", digest, status, reference.FamiliarString(image))
}

func tagOrDigest(image reference.Named) string {
	if tagged, ok := image.(reference.Tagged); ok {
		return tagged.Tag()
	}
	if digested, ok := image.(reference.Digested); ok {
		return digested.Digest().String()
	}
	return "latest"
}

// short is docker's short form of a digest.
func short(d digest.Digest) string { return d.Encoded()[:12] }

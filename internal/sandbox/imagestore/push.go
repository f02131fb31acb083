package imagestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// pushes is how many blobs of an image are sent at once.
const pushes = 4

// ErrNoImage says that the run has no image of a name.
var ErrNoImage = errors.New("an image does not exist locally with the tag")

// Push pushes what the run keeps under image and tells out about it as a docker
// client would. It returns the manifest as pushed. A registry that refuses gives a
// *Refusal; an image that the run does not have, ErrNoImage.
func (r *Run) Push(ctx context.Context, image reference.Named, out io.Writer) (ocispec.Descriptor, error) {
	fmt.Fprintf(out, "The push refers to repository [%s]\n", image.Name())
	ctx = r.within(ctx)
	target, ok, err := r.Local(ctx, image)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if !ok {
		return ocispec.Descriptor{}, fmt.Errorf("%w: %s", ErrNoImage, reference.FamiliarName(image))
	}
	manifest, err := r.store.manifest(ctx, target, platforms.All)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	p := &push{run: r, image: image, tracker: docker.NewInMemoryTracker(), out: out}
	if err := p.send(ctx, manifest); err != nil {
		return ocispec.Descriptor{}, r.refused(ctx, image, pushing, err)
	}
	fmt.Fprintf(out, "%s: digest: %s size: %d\n", tagOrDigest(image), manifest.Digest, manifest.Size)
	return manifest, nil
}

// push is one push under way.
type push struct {
	run     *Run
	image   reference.Named
	tracker docker.StatusTracker

	mu  sync.Mutex // lines of layers are written one after the other
	out io.Writer
}

// send sends the blobs and then the manifest that names them.
func (p *push) send(ctx context.Context, manifest ocispec.Descriptor) error {
	blobs, err := images.Manifest(ctx, p.run.store.content, manifest, platforms.All)
	if err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	diffs, err := images.RootFS(ctx, p.run.store.content, blobs.Config)
	if err != nil {
		return fmt.Errorf("reading an image's configuration: %w", err)
	}
	pusher, err := p.run.resolver(p.tracker).Pusher(ctx, p.image.String()+"@"+manifest.Digest.String())
	if err != nil {
		return err
	}
	handler := remotes.PushHandler(pusher, p.run.store.content)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(pushes)
	seen := map[digest.Digest]bool{}
	for i, layer := range blobs.Layers {
		if seen[layer.Digest] { // an empty layer may occur more than once
			continue
		}
		seen[layer.Digest] = true
		name := layer.Digest
		if i < len(diffs) {
			name = diffs[i]
		}
		group.Go(func() error { return p.sendLayer(gctx, handler, layer, name) })
	}
	group.Go(func() error { _, err := handler(gctx, blobs.Config); return err })
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = handler(ctx, manifest)
	return err
}

// sendLayer sends one layer and prints its line, under the name that docker gives it.
func (p *push) sendLayer(ctx context.Context, handler images.HandlerFunc, layer ocispec.Descriptor, name digest.Digest) error {
	layer.Annotations = p.run.mountable(p.image, layer.Digest)
	if _, err := handler(ctx, layer); err != nil {
		return err
	}
	state := "Pushed"
	status, err := p.tracker.GetStatus(remotes.MakeRefKey(ctx, layer))
	switch {
	case err != nil: // nothing known about it: it was sent
	case status.Exists:
		state = "Layer already exists"
	case status.MountedFrom != "":
		_, repository, _ := strings.Cut(status.MountedFrom, "/")
		state = "Mounted from " + repository
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = fmt.Fprintf(p.out, "%s: %s\n", short(name), state)
	return err
}

// mountable tells the pusher, in the form it reads, in which other repositories of the
// same registry a layer is. Only those count that the run was let have: where other
// runs found the layer is none of its business.
func (r *Run) mountable(image reference.Named, layer digest.Digest) map[string]string {
	host := reference.Domain(image)
	name, _, _ := strings.Cut(host, ":")
	var repositories []string
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, source := range r.sources[layer] {
		if path := reference.Path(source); reference.Domain(source) == host && !slices.Contains(repositories, path) {
			repositories = append(repositories, path)
		}
	}
	if len(repositories) == 0 {
		return nil
	}
	return map[string]string{labels.LabelDistributionSource + "." + name: strings.Join(repositories, ",")}
}

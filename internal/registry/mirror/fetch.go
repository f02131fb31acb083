package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// fetcher is one import on its way.
type fetcher struct {
	*Imports
	op       Operation
	order    order
	progress progress

	transport *http.Transport
}

// fetch copies the source of an operation into its targets.
func (m *Imports) fetch(ctx context.Context, op Operation) error {
	o, err := m.order(op)
	if err != nil {
		return err
	}
	f := &fetcher{Imports: m, op: op, order: o, transport: m.Dialer.Transport()}
	defer f.transport.CloseIdleConnections()
	ref, opts, err := f.source(ctx)
	if err != nil {
		return err
	}
	top, err := remote.Get(ref, opts...)
	if err != nil {
		return f.explain(err)
	}
	repositories := map[string][]string{}
	for _, goal := range o.Targets {
		repositories[goal.Repository] = append(repositories[goal.Repository], goal.Tag)
	}
	for repository, tags := range repositories {
		if err := f.into(ctx, repositoryOf(op.Registry, repository), top, tags); err != nil {
			return f.explain(err)
		}
	}
	return nil
}

// source is the reference to fetch, at a mirror if there is one, and how.
func (f *fetcher) source(ctx context.Context) (name.Reference, []remote.Option, error) {
	host, repository := f.order.Source.Host, f.order.Source.Image.Repository
	if strings.HasSuffix(host, "docker.io") && !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	var nameOpts []name.Option
	mirrored := false
	if mirror, ok := f.Dialer.Mirror(host); ok {
		mirrored = true
		host, repository = mirror.Host, strings.TrimPrefix(strings.TrimSuffix(mirror.Path, "/")+"/"+repository, "/")
		if mirror.Scheme == "http" {
			nameOpts = append(nameOpts, name.Insecure)
		}
	}
	reference := host + "/" + repository
	if d := f.order.Source.Image.Digest; d != "" {
		reference += "@" + d.String()
	} else {
		reference += ":" + f.order.Source.Image.Tag
	}
	ref, err := name.ParseReference(reference, nameOpts...)
	if err != nil {
		return nil, nil, invalid("source", "The source '%s' is not valid: %v.", reference, err)
	}
	auth := authn.Anonymous
	if !mirrored { // a mirror never gets credentials
		auth = f.authenticator(ctx, ref.Context().Registry)
	}
	return ref, []remote.Option{remote.WithContext(ctx), remote.WithAuth(auth), remote.WithTransport(f.transport), remote.WithUserAgent("acrux")}, nil
}

// into copies a manifest with everything below it, and tags it: all tags or none.
// An import that was interrupted finds its own work done; a tag that has come to name
// something else meanwhile is moved by force only.
func (f *fetcher) into(ctx context.Context, to registry.Name, top *remote.Descriptor, tags []string) error {
	tags = slices.DeleteFunc(tags, func(tag string) bool { return tag == "" })
	return f.manifest(ctx, to, top, tags)
}

// put keeps a manifest under its digest and any tags.
func (f *fetcher) put(ctx context.Context, to registry.Name, reference string, mediaType types.MediaType, body []byte, tags ...string) error {
	_, err := f.Content.PutManifest(ctx, registry.Push{Name: to, Reference: reference, Tags: tags, OnlyNew: !f.order.Force, MediaType: string(mediaType), Body: body,
		Actor: f.order.Caller, Now: time.Now()})
	return err
}

func (f *fetcher) manifest(ctx context.Context, to registry.Name, d *remote.Descriptor, tags []string) error {
	if len(d.Manifest) > registry.MaxManifest {
		return invalid("source.sourceImage", "The manifest %s has %d bytes; at most %d are taken.", d.Digest, len(d.Manifest), registry.MaxManifest)
	}
	switch {
	case d.MediaType.IsIndex():
		index, err := d.ImageIndex()
		if err != nil {
			return err
		}
		if err := f.children(ctx, to, index); err != nil {
			return err
		}
	case d.MediaType.IsImage():
		image, err := d.Image()
		if err != nil {
			return err
		}
		if err := f.image(ctx, to, image); err != nil {
			return err
		}
	default:
		return invalid("source.sourceImage", "The source is a manifest of type '%s', which cannot be imported.", d.MediaType)
	}
	return f.put(ctx, to, d.Digest.String(), d.MediaType, d.Manifest, tags...)
}

func (f *fetcher) children(ctx context.Context, to registry.Name, index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, child := range manifest.Manifests {
		var raw []byte
		switch {
		case child.MediaType.IsIndex():
			nested, err := index.ImageIndex(child.Digest)
			if err != nil {
				return err
			}
			if err := f.children(ctx, to, nested); err != nil {
				return err
			}
			raw, err = nested.RawManifest()
			if err != nil {
				return err
			}
		default:
			image, err := index.Image(child.Digest)
			if err != nil {
				return err
			}
			if err := f.image(ctx, to, image); err != nil {
				return err
			}
			if raw, err = image.RawManifest(); err != nil {
				return err
			}
		}
		if err := f.put(ctx, to, child.Digest.String(), child.MediaType, raw); err != nil {
			return err
		}
	}
	return nil
}

func (f *fetcher) image(ctx context.Context, to registry.Name, image v1.Image) error {
	config, err := partial.ConfigLayer(image)
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	f.progress.add(len(layers) + 1)
	for _, layer := range append([]v1.Layer{config}, layers...) {
		if err := f.blob(ctx, to, layer); err != nil {
			return err
		}
	}
	return nil
}

func (f *fetcher) blob(ctx context.Context, to registry.Name, layer v1.Layer) error {
	hash, err := layer.Digest()
	if err != nil {
		return err
	}
	mediaType, err := layer.MediaType()
	if err != nil {
		return err
	}
	defer f.progress.blobDone()
	if _, err := f.Content.Blob(ctx, to, digest.Digest(hash.String())); err == nil || !mediaType.IsDistributable() {
		return nil // here already, or not to be had by its own word
	}
	r, err := layer.Compressed()
	if err != nil {
		return err
	}
	counted := &progressReader{Reader: r, fetcher: f, ctx: ctx}
	_, err = f.Content.AddBlob(ctx, to, counted, digest.Digest(hash.String()), time.Now())
	return errors.Join(err, r.Close())
}

// explain turns what the other registry or the network said into a problem.
func (f *fetcher) explain(err error) error {
	what := f.order.Source.Image.Name()
	host := f.order.Source.Host
	var terr *transport.Error
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &terr) && terr.StatusCode == http.StatusNotFound:
		return problem.New(problem.NotFound, "ImageNotFound", "The image '%s' was not found at '%s'.", what, host).Because(err)
	case errors.As(err, &terr) && (terr.StatusCode == http.StatusUnauthorized || terr.StatusCode == http.StatusForbidden):
		return problem.New(problem.Denied, "SourceDenied", "The registry '%s' refused access to '%s' (%d%s).", host, what, terr.StatusCode, said(terr)).Because(err).
			Hint("give --username and --password of someone who may pull there")
	case errors.As(err, &terr):
		return problem.New(problem.Unavailable, "SourceFailed", "The registry '%s' answered %d for '%s'%s.", host, terr.StatusCode, what, said(terr)).Because(err)
	}
	return problem.New(problem.Unavailable, "SourceUnreachable", "The image '%s' could not be fetched from '%s': %v.", what, host, err).Because(err)
}

func said(err *transport.Error) string {
	if len(err.Errors) == 0 {
		return ""
	}
	return ": " + err.Errors[0].Message
}

// progress counts blobs and bytes, for people who wait.
type progress struct {
	blobs, done int
	bytes       int64
	shown       time.Time
}

func (p *progress) add(blobs int) { p.blobs += blobs }
func (p *progress) blobDone()     { p.done++ }

func (p *progress) String() string {
	return fmt.Sprintf("%d of %d blobs, %.1f MB", p.done, p.blobs, float64(p.bytes)/1e6)
}

// progressReader records how far an import is while it reads.
type progressReader struct {
	io.Reader
	fetcher *fetcher
	ctx     context.Context
}

// showEvery is how often progress is written down.
const showEvery = 500 * time.Millisecond

func (r *progressReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	f := r.fetcher
	f.progress.bytes += int64(n)
	if now := time.Now(); now.Sub(f.progress.shown) > showEvery {
		f.progress.shown = now
		f.op.Progress, f.op.Updated = f.progress.String(), now
		if err := f.Store.PutOperation(r.ctx, f.op); err != nil {
			return n, err
		}
	}
	return n, err
}

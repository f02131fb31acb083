//go:build linux && cgo

package buildkit

import (
	"context"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	"github.com/moby/buildkit/source/http"
	"github.com/moby/buildkit/worker/base"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// guardSources replaces what BuildKit would fetch ADD's sources with: URLs go through
// the guarded dialer, and git repositories are refused, because BuildKit would run the
// git program, whose connections nobody guards.
func guardSources(w *base.Worker, dialer *egress.Dialer) error {
	web, err := http.NewSource(http.Opt{CacheAccessor: w.CacheMgr, Transport: dialer.Transport()})
	if err != nil {
		return err
	}
	w.SourceManager.Register(web)
	w.SourceManager.Register(refusedSource{"git"})
	return nil
}

// refusedSource stands for a kind of source that builds may not use.
type refusedSource struct{ scheme string }

// Schemes implements source.Source.
func (r refusedSource) Schemes() []string { return []string{r.scheme} }

// Identifier implements source.Source.
func (r refusedSource) Identifier(string, string, map[string]string, *pb.Platform) (source.Identifier, error) {
	return nil, errRefusedSource
}

// Resolve implements source.Source.
func (r refusedSource) Resolve(context.Context, source.Identifier, *session.Manager, solver.Vertex) (source.SourceInstance, error) {
	return nil, errRefusedSource
}

// namespaced is an image store that needs no namespace in the context: BuildKit gives
// none.
type namespaced struct{ images.Store }

func in(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, imagestore.Namespace)
}

func (n namespaced) Get(ctx context.Context, name string) (images.Image, error) {
	return n.Store.Get(in(ctx), name)
}

func (n namespaced) List(ctx context.Context, filters ...string) ([]images.Image, error) {
	return n.Store.List(in(ctx), filters...)
}

func (n namespaced) Create(ctx context.Context, image images.Image) (images.Image, error) {
	return n.Store.Create(in(ctx), image)
}

func (n namespaced) Update(ctx context.Context, image images.Image, fields ...string) (images.Image, error) {
	return n.Store.Update(in(ctx), image, fields...)
}

func (n namespaced) Delete(ctx context.Context, name string, opts ...images.DeleteOpt) error {
	return n.Store.Delete(in(ctx), name, opts...)
}

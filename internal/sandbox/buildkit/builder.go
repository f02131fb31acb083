//go:build linux && cgo

package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/platforms"
	cachemetadata "github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/cache/remotecache"
	inlinecache "github.com/moby/buildkit/cache/remotecache/inline"
	registrycache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// Options say what a builder works on. All of it belongs to the caller and must
// outlive the builder.
type Options struct {
	Root       string // directory of the builder's own
	Store      *imagestore.Store
	Registries *imagestore.Registries
	Dialer     *egress.Dialer
	Runtime    *container.Runtime
	Network    Network // of RUN instructions
	ResolvConf string  // file that RUN instructions see as /etc/resolv.conf
	CacheBytes int64   // how much the build cache may take; 0 is DefaultCacheBytes
	// Trust gives authorities, as certificates in PEM, that RUN instructions trust beside
	// those of the image. Nil is none.
	Trust func() []byte
}

// Builder builds images. It is safe for concurrent use.
type Builder struct {
	store      *imagestore.Store
	controller *control.Controller
	server     *grpc.Server
	client     *client.Client
	served     chan struct{}
	cache      collector
}

// Open composes BuildKit. The caller closes the builder.
func Open(ctx context.Context, o Options) (_ *Builder, err error) {
	// BuildKit keeps connections to registries for the whole process. Those of another
	// builder go another way.
	resolver.DefaultPool.Clear()
	if err := os.MkdirAll(o.Root, 0o700); err != nil {
		return nil, fmt.Errorf("making the builder's directory: %w", err)
	}
	b := &Builder{store: o.Store, served: make(chan struct{})}
	w, err := newWorker(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("opening the build worker: %w", err)
	}
	b.cache = collector{worker: w, bytes: cmp.Or(o.CacheBytes, DefaultCacheBytes)}
	if b.controller, err = newController(o, w); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the build controller: %w", err), w.Close())
	}
	listener := bufconn.Listen(1 << 20)
	// The interceptors carry what an error knows over gRPC: which vertex, which exit code.
	b.server = grpc.NewServer(
		grpc.UnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
	)
	b.controller.Register(b.server)
	go func() { defer close(b.served); b.server.Serve(listener) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	// The scheme keeps gRPC from looking the name up.
	if b.client, err = client.New(ctx, "passthrough:///embedded", client.WithContextDialer(dial)); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to the builder: %w", err), b.Close())
	}
	return b, nil
}

// Build builds an image, prints its progress to out and keeps it under its tags for
// the run. An error is not the user's fault, or ctx's cause.
func (b *Builder) Build(ctx context.Context, r Request, out io.Writer) (Result, error) {
	return service{client: b.client}.build(ctx, r, out)
}

// Close ends the builder. Builds must have ended.
func (b *Builder) Close() error {
	var err error
	if b.client != nil {
		err = b.client.Close()
	}
	b.server.Stop()
	<-b.served
	return errors.Join(err, b.controller.Close())
}

// Collect lets go of the contexts of builds, which were sent for one run each, and of the
// oldest part of a cache that takes too much. What builds under way use stays.
func (b *Builder) Collect(ctx context.Context) error {
	if err := b.cache.forget(ctx); err != nil {
		return err
	}
	return b.cache.shrink(ctx)
}

// newWorker makes the part of BuildKit that knows images, layers and containers. It
// follows BuildKit's own worker for runc, with an executor and an image store of ours.
func newWorker(ctx context.Context, o Options) (*base.Worker, error) {
	options, err := workerOptions(o)
	if err != nil {
		return nil, err
	}
	w, err := base.NewWorker(ctx, options)
	if err != nil {
		return nil, errors.Join(err, options.MetadataStore.Close())
	}
	return w, guardSources(w, o.Dialer)
}

func workerOptions(o Options) (base.WorkerOpt, error) {
	mdb := o.Store.Metadata()
	blobs := containerdsnapshot.NewContentStore(mdb.ContentStore(), imagestore.Namespace)
	id, err := base.ID(o.Root)
	if err != nil {
		return base.WorkerOpt{}, err
	}
	executor, err := newExecutor(o)
	if err != nil {
		return base.WorkerOpt{}, err
	}
	refs, err := cachemetadata.NewStore(filepath.Join(o.Root, "refs.db"))
	if err != nil {
		return base.WorkerOpt{}, err
	}
	return base.WorkerOpt{
		ID:             id,
		Root:           o.Root,
		MetadataStore:  refs,
		Executor:       executor,
		Snapshotter:    containerdsnapshot.NewSnapshotter(imagestore.Snapshotter, mdb.Snapshotter(imagestore.Snapshotter), imagestore.Namespace, nil),
		ContentStore:   blobs,
		Applier:        apply.NewFileSystemApplier(blobs),
		Differ:         walking.NewWalkingDiff(blobs),
		ImageStore:     namespaced{metadata.NewImageStore(mdb)},
		RegistryHosts:  o.Registries.Hosts(nil),
		Platforms:      []ocispec.Platform{platforms.Normalize(platforms.DefaultSpec())},
		LeaseManager:   leaseutil.WithNamespace(metadata.NewLeaseManager(mdb), imagestore.Namespace),
		GarbageCollect: mdb.GarbageCollect,
		MountPoolRoot:  filepath.Join(o.Root, "cachemounts"),
	}, nil
}

func newController(o Options, w *base.Worker) (*control.Controller, error) {
	workers := &worker.Controller{}
	if err := workers.Add(w); err != nil {
		return nil, err
	}
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}
	cache, err := bboltcachestorage.NewStore(filepath.Join(o.Root, "cache.db"))
	if err != nil {
		return nil, err
	}
	options := &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true}
	history, err := boltutil.SafeOpen(filepath.Join(o.Root, "history.db"), 0o600, options)
	if err != nil {
		return nil, errors.Join(err, cache.Close())
	}
	noHistory := int64(0) // runs keep their own logs
	hosts := o.Registries.Hosts(nil)
	return control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		CacheManager:     solver.NewCacheManager(context.Background(), "local", cache, worker.NewCacheResultStorage(workers)),
		HistoryDB:        history,
		HistoryConfig:    &config.HistoryConfig{MaxEntries: &noHistory},
		CacheStore:       cache,
		ResolveCacheImporterFuncs: map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registrycache.ResolveCacheImporterFunc(sessions, w.ContentStore(), hosts),
		},
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"registry": registrycache.ResolveCacheExporterFunc(sessions, hosts),
			"inline":   inlinecache.ResolveCacheExporterFunc(),
		},
		LeaseManager:   w.LeaseManager(),
		ContentStore:   w.ContentStore(),
		GarbageCollect: w.GarbageCollect,
	})
}

//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
	"github.com/acrux/acrux/internal/sandbox/runnet"
)

var (
	_ engine.Scope  = (*Scope)(nil)
	_ engine.Puller = (*Scope)(nil)
)

// ErrClosed is the cause with which a scope ends what still runs in it.
var ErrClosed = errors.New("the run's scope was closed")

// Scope is one run: it owns everything that the run makes. See engine.Scope.
type Scope struct {
	executor *Executor
	spec     engine.RunSpec
	dir      string // of bundles and volumes
	images   *imagestore.Run
	group    *container.Group
	lodging  lodging
	router   *router
	identity *http.Server
	docker   *http.Server // for the run's steps

	life context.Context // ends with the scope
	end  context.CancelCauseFunc
	work sync.WaitGroup // calls under way and detached containers

	building atomic.Int32 // builds under way

	mu          sync.Mutex
	networks    map[string]*runnet.Network // "" is the one without names
	volumes     map[string]*volume
	volumesMade int
	boxes       map[string]*box            // containers by name
	known       map[string]reference.Named // images, by full name
	closed      bool
	closeOnce   sync.Once
	closeErr    error
}

var runID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// Open implements engine.Executor.
func (e *Executor) Open(ctx context.Context, spec engine.RunSpec) (_ engine.Scope, err error) {
	if !runID.MatchString(spec.ID) {
		return nil, fmt.Errorf("%q is no name for a run", spec.ID)
	}
	s := &Scope{
		executor: e, spec: spec, dir: e.path("runs", spec.ID),
		networks: map[string]*runnet.Network{}, volumes: map[string]*volume{}, boxes: map[string]*box{}, known: map[string]reference.Named{},
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	e.mu.Lock()
	_, taken := e.scopes[spec.ID]
	if !taken && !e.closed {
		e.scopes[spec.ID] = s
	}
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return nil, errors.New("the executor is closed")
	}
	if taken {
		return nil, fmt.Errorf("run %s is open already", spec.ID)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	return s, s.open(ctx)
}

func (s *Scope) open(ctx context.Context) (err error) {
	if err := os.Mkdir(s.dir, 0o711); err != nil {
		return fmt.Errorf("making the run's directory: %w", err)
	}
	if s.images, err = s.executor.store.OpenRun(ctx, s.spec.ID, s.executor.registries, runimages.Login(s.spec.Credentials)); err != nil {
		return err
	}
	if s.group, err = s.executor.openGroup("run-" + s.spec.ID); err != nil {
		return err
	}
	if s.lodging, err = s.executor.lodge("run-"+s.spec.ID, s.executor.root, s.spec.Workspace, s.spec.Home); err != nil {
		return err
	}
	if s.router, err = s.executor.openRouter("run-"+s.spec.ID, s.lodging.ids()); err != nil {
		return err
	}
	if err := s.configureCurl(); err != nil {
		return err
	}
	if err := s.serveDocker(); err != nil {
		return err
	}
	return s.serveIdentity()
}

// serveIdentity offers the run's managed-identity endpoint where programs look for it.
func (s *Scope) serveIdentity() error {
	if s.spec.Identity == nil {
		return nil
	}
	listener, err := s.router.Listen(netip.AddrPortFrom(runnet.MetadataAddr, 80))
	if err != nil {
		return err
	}
	s.identity = &http.Server{
		Handler:           s.spec.Identity,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.executor.log.Handler(), slog.LevelDebug),
	}
	s.work.Go(func() { s.identity.Serve(listener) })
	return nil
}

// begin registers a call. The context it returns ends with ctx and with the scope;
// done must be called.
func (s *Scope) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrClosed
	}
	s.work.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })
	return ctx, func() { stop(); cancel(nil); s.work.Done() }, nil
}

// CreateNetwork implements engine.Scope.
func (s *Scope) CreateNetwork(ctx context.Context, network engine.Network) error {
	_, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if network.Driver != "" && network.Driver != "bridge" {
		return fmt.Errorf("network driver %q is not supported", network.Driver)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if network.Name == "" || s.networks[network.Name] != nil {
		return fmt.Errorf("network with name %s already exists", network.Name)
	}
	n, err := s.router.AddNetwork(runnet.Options{IPv6: network.IPv6, Names: true})
	if err != nil {
		return err
	}
	s.networks[network.Name] = n
	return nil
}

// Close implements engine.Scope. It waits for what it ends.
func (s *Scope) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Scope) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end(ErrClosed)
	var errs []error
	for _, server := range []*http.Server{s.identity, s.docker} {
		if server != nil {
			errs = append(errs, server.Close())
		}
	}
	s.work.Wait()
	for _, x := range s.boxes {
		if x.journal != nil {
			errs = append(errs, x.journal.remove())
		}
	}
	if s.router != nil {
		errs = append(errs, s.router.Close())
	}
	errs = append(errs, s.executor.leave(s.lodging), s.group.Close())
	for _, v := range s.volumes {
		errs = append(errs, v.close())
	}
	ctx := context.Background()
	if s.images != nil {
		errs = append(errs, s.images.Close(ctx))
	}
	errs = append(errs, os.RemoveAll(s.dir), s.executor.forget(ctx, s.spec.ID))
	return errors.Join(errs...)
}

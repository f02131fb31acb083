package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	dockernetwork "github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

var (
	_ engine.Scope  = (*Scope)(nil)
	_ engine.Puller = (*Scope)(nil)
)

// ErrClosed is the cause with which a scope ends what still runs in it.
var ErrClosed = errors.New("the run's scope was closed")

// cleanupTimeout bounds what is done in the engine after a run, or a container, ended.
const cleanupTimeout = 2 * time.Minute

// Scope is one run: it owns everything that the run makes. See engine.Scope.
type Scope struct {
	executor *Executor
	spec     engine.RunSpec
	names    names
	images   *imagestore.Run

	life context.Context // ends with the scope
	end  context.CancelCauseFunc
	work sync.WaitGroup // calls under way and detached containers

	offering sync.Mutex // one image at a time is loaded
	noted    sync.Once  // what steps go without is said once

	mu        sync.Mutex
	networks  map[string]bool
	volumes   map[string]*volume
	anyImage  string // in the engine
	closed    bool
	closeOnce sync.Once
	closeErr  error
}

var runID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// Open implements engine.Executor.
func (e *Executor) Open(ctx context.Context, spec engine.RunSpec) (_ engine.Scope, err error) {
	if !runID.MatchString(spec.ID) {
		return nil, fmt.Errorf("%q is no name for a run", spec.ID)
	}
	if err := absolute(&spec.Workspace, &spec.Home); err != nil {
		return nil, err
	}
	s := &Scope{executor: e, spec: spec, names: names{e.id, spec.ID}, networks: map[string]bool{}, volumes: map[string]*volume{}}
	s.life, s.end = context.WithCancelCause(context.Background())
	if err := e.add(s); err != nil {
		return nil, err
	}
	if s.images, err = e.store.OpenRun(ctx, spec.ID, e.registries, runimages.Login(spec.Credentials)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// absolute makes paths of directories ones that the engine understands.
func absolute(dirs ...*string) (err error) {
	for _, dir := range dirs {
		if *dir == "" {
			continue
		}
		if *dir, err = filepath.Abs(*dir); err != nil {
			return fmt.Errorf("finding the run's directories: %w", err)
		}
	}
	return nil
}

func (e *Executor) add(s *Scope) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return errors.New("the executor is closed")
	case e.scopes[s.spec.ID] != nil:
		return fmt.Errorf("run %s is open already", s.spec.ID)
	}
	e.scopes[s.spec.ID] = s
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
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if network.Driver != "" && network.Driver != "bridge" {
		return fmt.Errorf("network driver %q is not supported", network.Driver)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if network.Name == "" || s.networks[network.Name] {
		return fmt.Errorf("network with name %s already exists", network.Name)
	}
	return s.addNetwork(ctx, network)
}

// addNetwork makes a network in the engine. The caller holds s.mu.
func (s *Scope) addNetwork(ctx context.Context, network engine.Network) error {
	o := client.NetworkCreateOptions{Driver: "bridge", EnableIPv6: &network.IPv6, Internal: !s.executor.options.Egress, Labels: s.names.labels()}
	if network.IPv6 { // engines before 27 choose no addresses themselves
		o.IPAM = &dockernetwork.IPAM{Config: []dockernetwork.IPAMConfig{{Subnet: localNetwork()}}}
	}
	_, err := s.executor.engine.NetworkCreate(ctx, s.names.network(network.Name), o)
	if err != nil {
		return fmt.Errorf("making network %s: %w", network.Name, err)
	}
	s.networks[network.Name] = true
	return nil
}

// localNetwork is a network of unique local addresses (RFC 4193) that most likely nobody
// else has.
func localNetwork() netip.Prefix {
	addr := [16]byte{0: 0xfd}
	rand.Read(addr[1:8]) // never fails
	return netip.PrefixFrom(netip.AddrFrom16(addr), 64)
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
	s.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	errs := []error{s.reclaimAll(ctx), s.executor.remove(ctx, s.names.filters(), s.names.repository())}
	if s.executor.secrets != "" {
		errs = append(errs, os.RemoveAll(s.secrets()))
	}
	if s.images != nil {
		errs = append(errs, s.images.Close(ctx))
	}
	return errors.Join(append(errs, s.executor.forget(ctx, s.spec.ID))...)
}

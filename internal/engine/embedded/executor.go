//go:build linux && cgo

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/buildkit"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
	"github.com/acrux/acrux/internal/sandbox/rootless"
	"github.com/acrux/acrux/internal/sandbox/runnet"
	"github.com/acrux/acrux/internal/sandbox/userns"
)

var _ engine.Executor = (*Executor)(nil)

// Executor runs the steps of runs in this process. It is safe for concurrent use.
type Executor struct {
	root       string
	publishAt  netip.Addr
	log        *slog.Logger
	lock       *os.File
	temporary  *temporary // nil has the process's
	runtime    *container.Runtime
	networks   *runnet.Manager
	views      string           // directory of the runs' views; empty if they have no IDs of their own
	ids        userns.Pool      // of users
	bounds     container.Bounds // of a run
	services   runnet.Services  // of every router
	uplink     *runnet.Uplink   // nil without Options.Egress
	outside    runnet.Dial      // instead of an uplink, for who is not root of the machine
	builds     buildPlaces
	store      *imagestore.Store
	registries *imagestore.Registries
	builder    *buildkit.Builder
	resolvConf string
	trust      func() []byte // nil is nothing
	machine    runimages.Machine
	ended      chan struct{} // a run has ended, and nobody has tidied up since
	stopDuties func()        // nil before they began

	builtPlaces atomic.Int64 // numbers the networks of builds

	mu     sync.Mutex
	scopes map[string]*Scope
	closed bool
}

// Open opens an executor and removes what a killed one left in its directory. The
// caller closes it.
func Open(ctx context.Context, o Options) (_ *Executor, err error) {
	if os.Geteuid() != 0 {
		return nil, needsRoot()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dialer == nil {
		o.Dialer = &egress.Dialer{}
	}
	runimages.Quiet(o.Log)
	e := &Executor{log: o.Log, publishAt: o.PublishAt, machine: runimages.Machine{DockerClient: o.DockerClient}, bounds: boundsOr(o.RunBounds), trust: o.Trust, scopes: map[string]*Scope{}, ended: make(chan struct{}, 1)}
	e.builds.executor = e
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if err := e.take(o.Root); err != nil {
		return nil, err
	}
	if err := e.clean(); err != nil {
		return nil, fmt.Errorf("removing what a former process left: %w", err)
	}
	if o.OwnTemporary {
		if e.temporary, err = ownTemporary(e.root); err != nil {
			return nil, err
		}
	}
	if !e.Limits() {
		e.log.Warn("processors, memory and processes of steps are not limited: only root of the machine may do that")
	} else if lacks := container.Unlimited(); len(lacks) > 0 {
		e.log.Warn("the kernel does not limit all that steps use: its control groups lack controllers", "lacking", lacks)
	}
	if err := e.openViews(o); err != nil {
		return nil, err
	}
	if err := e.openNetworks(o); err != nil {
		return nil, err
	}
	if e.store, err = imagestore.Open(ctx, e.path("images")); err != nil {
		return nil, err
	}
	e.registries = imagestore.NewRegistries(o.Dialer)
	if e.builder, err = buildkit.Open(ctx, buildkit.Options{
		Root: e.path("build"), Store: e.store, Registries: e.registries, Dialer: o.Dialer,
		Runtime: e.runtime, Network: e.builds.connect, ResolvConf: e.resolvConf,
		CacheBytes: o.CacheBytes, Trust: o.Trust,
	}); err != nil {
		return nil, err
	}
	e.startDuties(o)
	return e, nil
}

// needsRoot says what an ordinary user lacks.
func needsRoot() error {
	err := rootless.Available()
	if err == nil {
		err = errors.New("this process is not root in one")
	}
	var p *problem.Error
	if errors.As(err, &p) && len(p.Hints) > 0 {
		err = fmt.Errorf("%w; hint: %s", err, p.Hints[0])
	}
	return fmt.Errorf("steps take root, for namespaces and mounts, or a user namespace: %w", err)
}

// openGroup makes the control group of a run, or of the builds of a scope.
func (e *Executor) openGroup(name string) (*container.Group, error) {
	return e.runtime.OpenGroup(name, e.bounds)
}

// boundsOr are bounds with the default where there are none.
func boundsOr(b Bounds) container.Bounds {
	usual := container.DefaultBounds()
	return container.Bounds{
		CPUs: b.CPUs, Memory: cmp.Or(b.Memory, usual.Memory), Processes: cmp.Or(b.Processes, usual.Processes),
	}
}

// Limits reports whether processors, memory and processes of containers can be limited.
func (e *Executor) Limits() bool { return e.runtime.Limits() }

// startDuties begins what goes on beside the runs: tidying up, and watching the disk.
func (e *Executor) startDuties(o Options) {
	ctx, cancel := context.WithCancel(context.Background())
	var duties sync.WaitGroup
	duties.Go(func() { e.tidy(ctx) })
	if e.Limits() {
		duties.Go(func() { e.balance(ctx) })
	}
	if o.DiskReserve > 0 {
		duties.Go(func() { e.watchDisk(ctx, o.DiskReserve) })
	}
	e.stopDuties = func() { cancel(); duties.Wait() }
}

// balanceInterval is how often runs get their shares of the processors anew.
const balanceInterval = time.Second

// balance shares the processors among the runs, until ctx ends.
func (e *Executor) balance(ctx context.Context) {
	ticker := time.NewTicker(balanceInterval)
	defer ticker.Stop()
	for told := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := e.runtime.Balance(); err != nil && !told {
			e.log.Warn("processors are shared evenly, however much runs use", "err", err)
			told = true
		}
	}
}

// take makes the directory and locks it. Its path is made real, since mounts are
// listed by real paths.
func (e *Executor) take(root string) error {
	if root == "" {
		return errors.New("the executor needs a directory")
	}
	if err := os.MkdirAll(root, 0o711); err != nil {
		return fmt.Errorf("making the executor's directory: %w", err)
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return fmt.Errorf("finding the executor's directory: %w", err)
	}
	if e.root, err = filepath.Abs(real); err != nil {
		return fmt.Errorf("finding the executor's directory: %w", err)
	}
	lock, err := os.OpenFile(e.path("lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("opening the executor's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("%s is in use by another process: %w", e.root, err)
	}
	e.lock = lock
	return nil
}

func (e *Executor) path(elem ...string) string {
	return filepath.Join(append([]string{e.root}, elem...)...)
}

// clean removes what a killed process left: first what runs, then what is mounted,
// then the files.
func (e *Executor) clean() error {
	var err error
	if e.runtime, err = container.New(e.path("containers")); err != nil {
		return err
	}
	if err := e.runtime.Cleanup(); err != nil {
		return err
	}
	if err := errors.Join(unmountLeft(e.viewsDir()), unmountLeft(e.root)); err != nil {
		return err
	}
	if err := os.RemoveAll(e.viewsDir()); err != nil {
		return err
	}
	if e.networks, err = runnet.NewManager(e.path("net"), e.log); err != nil {
		return err
	}
	if err := e.networks.Cleanup(); err != nil {
		return err
	}
	if err := os.RemoveAll(e.path("runs")); err != nil {
		return err
	}
	return os.MkdirAll(e.path("runs"), 0o711)
}

// Close closes all scopes and the executor.
func (e *Executor) Close() error {
	e.mu.Lock()
	e.closed = true
	var scopes []*Scope
	for _, s := range e.scopes {
		scopes = append(scopes, s)
	}
	e.mu.Unlock()
	var errs []error
	for _, s := range scopes {
		errs = append(errs, s.Close())
	}
	if e.stopDuties != nil {
		e.stopDuties()
	}
	if e.builder != nil {
		errs = append(errs, e.builder.Close())
	}
	if e.registries != nil {
		e.registries.Close()
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if e.uplink != nil {
		errs = append(errs, e.closeUplink())
	}
	errs = append(errs, e.closeViews())
	if e.runtime != nil {
		errs = append(errs, e.runtime.Close())
	}
	if e.temporary != nil {
		errs = append(errs, e.temporary.close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}

// forget takes a closed scope off the list, and lets go of images that were not used
// for long.
func (e *Executor) forget(ctx context.Context, id string) error {
	e.mu.Lock()
	delete(e.scopes, id)
	e.mu.Unlock()
	select {
	case e.ended <- struct{}{}:
	default:
	}
	return e.store.Forget(ctx, imagestore.DefaultKeep, time.Now())
}

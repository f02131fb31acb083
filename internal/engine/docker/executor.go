package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/buildkit"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

var _ engine.Executor = (*Executor)(nil)

// Executor runs the steps of runs on a Docker Engine. It is safe for concurrent use.
type Executor struct {
	id         string // in the engine
	options    Options
	log        *slog.Logger
	engine     *client.Client
	store      *imagestore.Store
	registries *imagestore.Registries
	builder    *buildkit.Remote
	exporter   string // of the engine's BuildKit
	rootless   bool   // the engine's root is this user
	desktop    bool   // the engine is in a virtual machine
	secrets    string // directory of volumes, in memory; empty keeps them in the engine

	machine runimages.Machine

	mu     sync.Mutex
	scopes map[string]*Scope
	closed bool
}

// Open opens an executor and removes what a killed one left in the engine. The caller
// closes it.
func Open(ctx context.Context, o Options) (_ *Executor, err error) {
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dialer == nil {
		o.Dialer = &egress.Dialer{}
	}
	runimages.Quiet(o.Log)
	e := &Executor{options: o, log: o.Log, machine: runimages.Machine{DockerClient: runimages.NoClient}, scopes: map[string]*Scope{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if err := e.connect(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Root, 0o700); err != nil {
		return nil, fmt.Errorf("making the executor's directory: %w", err)
	}
	if e.store, err = imagestore.OpenBlobs(ctx, filepath.Join(o.Root, "images")); err != nil {
		return nil, err
	}
	if e.id, err = identify(filepath.Join(o.Root, "id")); err != nil {
		return nil, err
	}
	if err := e.remove(ctx, filters(e.id), imageDomain(e.id)+"/*"); err != nil {
		return nil, fmt.Errorf("removing what a former process left in the Docker Engine: %w", err)
	}
	if err := e.openSecrets(); err != nil {
		return nil, fmt.Errorf("making a directory in memory: %w", err)
	}
	e.registries = imagestore.NewRegistries(o.Dialer)
	e.builder, err = buildkit.OpenRemote(ctx, buildkit.Dialers{
		Service: func(ctx context.Context) (net.Conn, error) { return e.engine.DialHijack(ctx, "/grpc", "h2c", nil) },
		Session: func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return e.engine.DialHijack(ctx, "/session", proto, meta)
		},
	})
	return e, err
}

// connect finds out whether the engine is one that will do.
func (e *Executor) connect(ctx context.Context) (err error) {
	host := e.options.Host
	if scheme, _, _ := strings.Cut(host, "://"); scheme != "unix" && scheme != "npipe" {
		return problem.New(problem.Invalid, "DockerHostUnsupported", "The Docker Engine %s is not supported: one on another machine does not see the directories of this one, which steps work in.", host).
			Hint("name a socket of this machine, such as %s", DefaultHost)
	}
	if e.engine, err = client.New(client.WithHost(host)); err != nil {
		return problem.New(problem.Invalid, "DockerHostInvalid", "The Docker Engine's address %s cannot be used.", host).Because(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ping, err := e.engine.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil {
		return problem.New(problem.Invalid, "DockerUnreachable", "The Docker Engine at %s cannot be reached: %v.", host, err).
			Hint("start it, give this user the right to its socket (on most systems, the group docker), or name another one")
	}
	if ping.OSType != "linux" {
		return problem.New(problem.Invalid, "DockerUnsuitable", "The Docker Engine at %s runs %s containers, and steps are Linux's.", host, ping.OSType).Hint("switch it to Linux containers")
	}
	if !atLeast(ping.APIVersion, 1, 41) {
		return problem.New(problem.Invalid, "DockerTooOld", "The Docker Engine at %s speaks version %s of its API, and 1.41 is needed.", host, ping.APIVersion).Hint("install Docker Engine 20.10 or later")
	}
	info, err := e.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return fmt.Errorf("asking the Docker Engine what it is: %w", err)
	}
	e.exporter = exporter(info.Info)
	e.rootless = slices.Contains(info.Info.SecurityOptions, "name=rootless")
	e.desktop = strings.Contains(info.Info.OperatingSystem, "Docker Desktop")
	return nil
}

// openSecrets makes the directory of volumes, anew, where the engine sees what this
// process has in memory.
func (e *Executor) openSecrets() error {
	dir := memory()
	if dir == "" || e.desktop {
		return nil
	}
	e.secrets = filepath.Join(dir, "acrux-"+e.id)
	if err := os.RemoveAll(e.secrets); err != nil {
		return err
	}
	return os.Mkdir(e.secrets, 0o700)
}

// atLeast compares versions of the API.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// exporter is the one that leaves images where the engine finds them: that depends on
// which of its two image stores it uses.
func exporter(info system.Info) string {
	if slices.Contains(info.DriverStatus, [2]string{"driver-type", "io.containerd.snapshotter.v1"}) {
		return "image"
	}
	return "moby"
}

// identify reads the executor's identifier, or makes it up.
func identify(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(strings.ToLower(rand.Text()[:12]))
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("identifying the executor: %w", err)
	}
	return string(text), nil
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
	if e.builder != nil {
		errs = append(errs, e.builder.Close())
	}
	if e.registries != nil {
		e.registries.Close()
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if e.engine != nil {
		errs = append(errs, e.engine.Close())
	}
	if e.secrets != "" {
		errs = append(errs, os.RemoveAll(e.secrets))
	}
	return errors.Join(errs...)
}

// forget takes a closed scope off the list, and lets go of images that were not used
// for long.
func (e *Executor) forget(ctx context.Context, id string) error {
	e.mu.Lock()
	delete(e.scopes, id)
	e.mu.Unlock()
	return errors.Join(e.store.Forget(ctx, imagestore.DefaultKeep, time.Now()), e.store.Collect(ctx))
}

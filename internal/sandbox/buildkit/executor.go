//go:build linux && cgo

package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/mount"
	containerdoci "github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/executor/oci"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/trust"
	"github.com/acrux/acrux/internal/sandbox/userns"
)

// Network makes the place of a RUN instruction of a build with that Request.CacheScope. One
// that is not connected reaches nothing but itself.
type Network func(scope, id string, connected bool) (Sandbox, error)

// Sandbox is where a RUN instruction is executed.
type Sandbox struct {
	// View is how it sees the builder's files and layers; its IDs are the instruction's. Nil
	// is as they are, as a user of the machine.
	View *userns.View
	// Cgroup is the control group that it is to have.
	Cgroup string
	// Writes is called with the directory that it writes to, for who measures that; done when
	// it has ended. May be nil.
	Writes func(layer string) (done func())
	// Attach ties it to its network, before it runs, by the number of its first process.
	Attach func(pid int) error
	// Close is called once it has ended.
	Close func() error
}

// runExecutor runs RUN instructions as containers of our runtime.
type runExecutor struct {
	dir        string // of root file systems and hosts files
	runtime    *container.Runtime
	network    Network
	resolvConf string
	trust      func() []byte // nil is nothing
	layers     sharedLayers
}

var _ executor.Executor = (*runExecutor)(nil)

func newExecutor(o Options) (*runExecutor, error) {
	e := &runExecutor{dir: filepath.Join(o.Root, "run"), runtime: o.Runtime, network: o.Network, resolvConf: o.ResolvConf, trust: o.Trust}
	if err := os.RemoveAll(e.dir); err != nil {
		return nil, fmt.Errorf("removing what a former process left: %w", err)
	}
	return e, os.MkdirAll(e.dir, 0o711)
}

// Exec implements executor.Executor. Only containers of the gateway need it, which
// no frontend of ours makes.
func (e *runExecutor) Exec(context.Context, string, executor.ProcessInfo) error {
	return errors.New("running a second process in a build container is not supported")
}

// Run implements executor.Executor.
func (e *runExecutor) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo, started chan<- struct{}) (_ resourcestypes.Recorder, err error) {
	if id == "" {
		id = identity.NewID()
	}
	if err := executor.ValidContainerID(id); err != nil {
		return nil, err
	}
	start := sync.OnceFunc(func() {
		if started != nil {
			close(started)
		}
	})
	defer start()
	sandbox, err := e.connect(id, process.Meta)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sandbox.Close()) }()
	mounts = slices.Clone(mounts)
	for i := range mounts {
		mounts[i].Src = viewed{mounts[i].Src, sandbox.View, &e.layers}
	}
	rootfs, unmount, err := e.mount(ctx, id, root, sandbox)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unmount()) }()
	if !root.Readonly && !process.Meta.ReadonlyRootFS {
		trusted, err := e.addTrust(rootfs, process.Meta.Env, sandbox.View)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, sandbox.View.As(trusted.Undo)) }()
		process.Meta.Env = slices.Concat(process.Meta.Env, trusted.Environ)
	}
	defer executor.MountStubsCleaner(context.WithoutCancel(ctx), rootfs, mounts, process.Meta.RemoveMountStubsRecursive)()
	spec, release, err := e.spec(ctx, id, rootfs, mounts, process.Meta, sandbox)
	if err != nil {
		return nil, err
	}
	defer release()
	if root.Readonly {
		spec.Root.Readonly = true
	}
	exit, err := e.runtime.Run(ctx, container.Process{
		ID: id, Spec: spec, User: container.User{IDs: sandbox.View.IDs()}, Created: sandbox.Attach, Started: func(*container.Handle) { start() },
		Stdin: process.Stdin, Stdout: process.Stdout, Stderr: process.Stderr,
	})
	return nil, exitError(ctx, exit, err, process.Meta.ValidExitCodes)
}

// connect gives the container its place, with or without a network.
func (e *runExecutor) connect(id string, meta executor.Meta) (Sandbox, error) {
	switch meta.NetMode {
	case pb.NetMode_NONE, pb.NetMode_UNSET:
		return e.network(meta.CgroupParent, id, meta.NetMode == pb.NetMode_UNSET)
	}
	return Sandbox{}, fmt.Errorf("network mode %s is not allowed in builds", meta.NetMode)
}

// writes notes where an instruction writes to.
func (s Sandbox) writes(mounts []mount.Mount) (done func()) {
	for _, m := range mounts {
		for _, option := range m.Options {
			if layer, ok := strings.CutPrefix(option, "upperdir="); ok && s.Writes != nil {
				return s.Writes(layer)
			}
		}
	}
	return func() {}
}

// mount mounts the root file system and tells how to undo it.
func (e *runExecutor) mount(ctx context.Context, id string, root executor.Mount, sandbox Sandbox) (_ string, _ func() error, err error) {
	source, err := root.Src.Mount(ctx, false)
	if err != nil {
		return "", nil, err
	}
	view := sandbox.View
	if !userns.Inside() { // where BuildKit knows better what an ordinary user may mount
		source, _ = asStored(source)
	}
	mounts, release, err := source.Mount()
	if err != nil {
		return "", nil, err
	}
	if release == nil {
		release = func() error { return nil }
	}
	dir := filepath.Join(e.dir, id)
	rootfs := view.Path(filepath.Join(dir, "rootfs"))
	written := sandbox.writes(mounts)
	undo := func() error {
		written()
		return errors.Join(mount.UnmountAll(rootfs, 0), os.RemoveAll(dir), release())
	}
	err = os.MkdirAll(filepath.Join(dir, "rootfs"), 0o711)
	if err == nil {
		err = view.Mount(mounts, rootfs)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("mounting the file system of a RUN: %w", err), undo())
	}
	return rootfs, undo, nil
}

// addTrust lets an instruction trust this installation. What it changes is taken back before
// the layer is kept.
func (e *runExecutor) addTrust(rootfs string, environ []string, view *userns.View) (trusted *trust.Installed, err error) {
	var certificates []byte
	if e.trust != nil {
		certificates = e.trust()
	}
	authority, err := trust.New(certificates)
	if err != nil {
		return nil, err
	}
	err = view.As(func() error {
		trusted, err = authority.Install(rootfs, trust.Options{Environ: environ, Image: true})
		return err
	})
	return trusted, err
}

// spec builds the container's spec with BuildKit's own rules.
func (e *runExecutor) spec(ctx context.Context, id, rootfs string, mounts []executor.Mount, meta executor.Meta, sandbox Sandbox) (*specs.Spec, func(), error) {
	dir, err := os.OpenRoot(e.dir)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	hosts, removeHosts, err := oci.GetHostsFile(ctx, dir, meta.ExtraHosts, nil, meta.Hostname)
	if err != nil {
		return nil, nil, err
	}
	if removeHosts == nil {
		removeHosts = func() {}
	}
	meta.CgroupParent = "" // is the scope of the cache
	uid, gid, groups, err := oci.GetUser(rootfs, meta.User)
	if err != nil {
		removeHosts()
		return nil, nil, err
	}
	opts := []containerdoci.SpecOpts{
		oci.WithUIDGID(uid, gid, groups),
		containerdoci.WithCgroup(sandbox.Cgroup),
	}
	if meta.ReadonlyRootFS {
		opts = append(opts, containerdoci.WithRootFSReadonly())
	}
	spec, release, err := oci.GenerateSpec(ctx, meta, mounts, id, sandbox.View.Path(e.resolvConf), sandbox.View.Path(filepath.Join(e.dir, hosts)), newNamespace{},
		"", oci.ProcessSandbox, nil, "", false, "", nil, opts...)
	if err != nil {
		removeHosts()
		return nil, nil, err
	}
	cleanup := func() { release(); removeHosts() }
	spec.Root.Path = rootfs
	spec.Process.Terminal = false
	if !container.Seccomp {
		spec.Linux.Seccomp = nil // could not be obeyed
	}
	withoutRawSockets(spec)
	container.ShowLimits(spec, false)
	if err := makeDirectory(sandbox.View, rootfs, meta.Cwd, int(uid), int(gid)); err != nil {
		cleanup()
		return nil, nil, err
	}
	return spec, cleanup, nil
}

// withoutRawSockets takes away what a RUN could pretend to be its neighbour with. It may
// ping without.
func withoutRawSockets(spec *specs.Spec) {
	c := spec.Process.Capabilities
	if c == nil {
		return
	}
	for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
		*set = slices.DeleteFunc(*set, func(name string) bool { return name == "CAP_NET_RAW" })
	}
}

// makeDirectory makes the working directory, owned by the user, as docker does.
func makeDirectory(view *userns.View, rootfs, dir string, uid, gid int) error {
	path, err := fs.RootPath(rootfs, dir)
	if err != nil {
		return fmt.Errorf("working directory %s points to an invalid place: %w", dir, err)
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	uid, gid = uid+view.IDs().First, gid+view.IDs().First
	if err := view.As(func() error { return user.MkdirAllAndChown(path, 0o755, uid, gid) }); err != nil {
		return fmt.Errorf("making working directory %s: %w", dir, err)
	}
	return nil
}

// exitError puts the end of a container in BuildKit's terms.
func exitError(ctx context.Context, exit container.Exit, err error, valid []int) error {
	var start *container.StartError
	switch {
	case ctx.Err() != nil:
		return &gatewayapi.ExitError{ExitCode: gatewayapi.UnknownExitStatus, Err: context.Cause(ctx)}
	case errors.As(err, &start):
		return &gatewayapi.ExitError{ExitCode: uint32(start.Code), Err: err}
	case err != nil:
		return err
	case exit.Code == 0 && valid == nil, slices.Contains(valid, exit.Code):
		return nil
	}
	failed := &gatewayapi.ExitError{ExitCode: uint32(exit.Code)}
	if exit.OOM {
		failed.Err = unix.ENOMEM
	}
	return failed
}

// newNamespace is a network namespace in BuildKit's terms: one that the runtime makes.
type newNamespace struct{}

// Set implements network.Namespace.
func (newNamespace) Set(*specs.Spec) error { return nil }

// Sample implements network.Namespace; nothing is measured.
func (newNamespace) Sample() (*resourcestypes.NetworkSample, error) { return nil, nil }

// Close implements network.Namespace.
func (newNamespace) Close() error { return nil }

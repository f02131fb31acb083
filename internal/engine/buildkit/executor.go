//go:build linux && cgo

package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

	"github.com/acrux/acrux/internal/engine/container"
)

// Network makes the network namespace of a RUN instruction. The namespace is a file;
// end is called once the instruction has ended.
type Network func(id string) (namespace string, end func() error, err error)

// runExecutor runs RUN instructions as containers of our runtime.
type runExecutor struct {
	dir        string // of root file systems and hosts files
	runtime    *container.Runtime
	network    Network
	resolvConf string
}

var _ executor.Executor = (*runExecutor)(nil)

func newExecutor(o Options) (*runExecutor, error) {
	e := &runExecutor{dir: filepath.Join(o.Root, "run"), runtime: o.Runtime, network: o.Network, resolvConf: o.ResolvConf}
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
	namespace, end, err := e.connect(id, process.Meta)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	rootfs, unmount, err := e.mount(ctx, id, root)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unmount()) }()
	defer executor.MountStubsCleaner(context.WithoutCancel(ctx), rootfs, mounts, process.Meta.RemoveMountStubsRecursive)()
	spec, release, err := e.spec(ctx, id, rootfs, mounts, process.Meta, namespace)
	if err != nil {
		return nil, err
	}
	defer release()
	if root.Readonly {
		spec.Root.Readonly = true
	}
	exit, err := e.runtime.Run(ctx, container.Process{
		ID: id, Spec: spec, Started: func(*container.Handle) { start() },
		Stdin: process.Stdin, Stdout: process.Stdout, Stderr: process.Stderr,
	})
	return nil, exitError(ctx, exit, err, process.Meta.ValidExitCodes)
}

// connect gives the container its network. A namespace of nobody's is made by the
// runtime itself when the name is empty.
func (e *runExecutor) connect(id string, meta executor.Meta) (string, func() error, error) {
	switch meta.NetMode {
	case pb.NetMode_NONE:
		return "", func() error { return nil }, nil
	case pb.NetMode_UNSET:
		return e.network(id)
	}
	return "", nil, fmt.Errorf("network mode %s is not allowed in builds", meta.NetMode)
}

// mount mounts the root file system and tells how to undo it.
func (e *runExecutor) mount(ctx context.Context, id string, root executor.Mount) (_ string, _ func() error, err error) {
	source, err := root.Src.Mount(ctx, false)
	if err != nil {
		return "", nil, err
	}
	mounts, release, err := source.Mount()
	if err != nil {
		return "", nil, err
	}
	if release == nil {
		release = func() error { return nil }
	}
	dir := filepath.Join(e.dir, id)
	rootfs := filepath.Join(dir, "rootfs")
	undo := func() error {
		return errors.Join(mount.UnmountAll(rootfs, 0), os.RemoveAll(dir), release())
	}
	err = os.MkdirAll(rootfs, 0o711)
	if err == nil {
		err = mount.All(mounts, rootfs)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("mounting the file system of a RUN: %w", err), undo())
	}
	return rootfs, undo, nil
}

// spec builds the container's spec with BuildKit's own rules.
func (e *runExecutor) spec(ctx context.Context, id, rootfs string, mounts []executor.Mount, meta executor.Meta, namespace string) (*specs.Spec, func(), error) {
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
		containerdoci.WithCgroup(e.runtime.CgroupPath(id)),
	}
	if meta.ReadonlyRootFS {
		opts = append(opts, containerdoci.WithRootFSReadonly())
	}
	spec, release, err := oci.GenerateSpec(ctx, meta, mounts, id, e.resolvConf, filepath.Join(e.dir, hosts), namespaceFile(namespace),
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
	if err := makeDirectory(rootfs, meta.Cwd, int(uid), int(gid)); err != nil {
		cleanup()
		return nil, nil, err
	}
	return spec, cleanup, nil
}

// makeDirectory makes the working directory, owned by the user, as docker does.
func makeDirectory(rootfs, dir string, uid, gid int) error {
	path, err := fs.RootPath(rootfs, dir)
	if err != nil {
		return fmt.Errorf("working directory %s points to an invalid place: %w", dir, err)
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := user.MkdirAllAndChown(path, 0o755, uid, gid); err != nil {
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

// namespaceFile is a network namespace in BuildKit's terms; it is made and removed
// elsewhere.
type namespaceFile string

// Set implements network.Namespace.
func (n namespaceFile) Set(spec *specs.Spec) error {
	if n == "" {
		return nil
	}
	return containerdoci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: string(n)})(nil, nil, nil, spec)
}

// Sample implements network.Namespace; nothing is measured.
func (namespaceFile) Sample() (*resourcestypes.NetworkSample, error) { return nil, nil }

// Close implements network.Namespace.
func (namespaceFile) Close() error { return nil }

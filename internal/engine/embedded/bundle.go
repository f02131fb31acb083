//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
	"github.com/acrux/acrux/internal/sandbox/runnet"
	"github.com/acrux/acrux/internal/sandbox/trust"
)

// bundle is a container with all that is made for it.
type bundle struct {
	scope   *Scope
	box     *box
	command engine.Command
	id      string
	dir     string
	lodging *lodging // how it sees files

	rootfs    *imagestore.Rootfs
	endpoint  *runnet.Endpoint // nil if it uses another's network
	published []*runnet.Published
	spec      *specs.Spec
	user      container.User
}

// prepare makes everything but the process.
func (b *bundle) prepare(ctx context.Context, image imagestore.Image) error {
	if err := os.MkdirAll(filepath.Join(b.dir, "rootfs"), 0o711); err != nil {
		return fmt.Errorf("preparing a container: %w", err)
	}
	rootfs := b.lodging.path(filepath.Join(b.dir, "rootfs"))
	var err error
	if b.rootfs, err = b.scope.images.Mount(ctx, image, b.id, rootfs, b.lodging.root()); err != nil {
		var broken *imagestore.Broken
		if errors.As(err, &broken) {
			return daemonError("%v", broken)
		}
		return err
	}
	place, err := b.connect()
	if err != nil {
		return err
	}
	ports, err := b.publish()
	if err != nil {
		return err
	}
	mounts, err := b.mounts(ctx, image, place.hosts)
	if err != nil {
		return err
	}
	b.note(image, place, ports)
	b.user = container.User{Namespace: place.user, IDs: b.lodging.ids()}
	c := b.command
	c.Env = slices.Concat(c.Env, b.whereLoginsAre())
	if c.Env, err = b.addTrust(rootfs, c.Env); err != nil {
		return err
	}
	b.spec, err = container.NewSpec(ctx, container.Command{
		ID: b.id, Rootfs: rootfs, Image: b.rootfs.Config,
		Args: c.Args, Entrypoint: c.Entrypoint, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User,
		Mounts: mounts, NetworkNS: place.network, CgroupPath: b.scope.group.CgroupPath(b.id),
		Privileged: c.Privileged, CPUs: c.CPUs, Memory: c.Memory, Options: container.Options(c.Options),
	})
	if err != nil {
		return daemonError("%v", err) // an unknown user, no command: the image's or the caller's mistake
	}
	return nil
}

// whereLoginsAre are variables that lead programs to the run's logins also where their home
// is another one, unless the image or the command has them.
func (b *bundle) whereLoginsAre() (variables []string) {
	if b.scope.spec.Home == "" || b.box.bare {
		return nil
	}
	has := slices.Concat(b.rootfs.Config.Env, b.command.Env)
	for name, place := range map[string]string{"DOCKER_CONFIG": dockerConfig, "REGISTRY_AUTH_FILE": dockerConfig + "/config.json"} {
		isSet := func(entry string) bool { return strings.HasPrefix(entry, name+"=") }
		if !slices.ContainsFunc(has, isSet) {
			variables = append(variables, name+"="+place)
		}
	}
	return variables
}

// dockerConfig is the directory of docker's configuration in the run's home.
const dockerConfig = engine.HomeVolume + "/.docker"

// addTrust lets the container's programs trust this installation, and returns their variables.
// The file system is the container's own, and goes with it.
func (b *bundle) addTrust(rootfs string, env []string) ([]string, error) {
	if b.scope.executor.trust == nil {
		return env, nil
	}
	authority, err := trust.New(b.scope.executor.trust())
	if err != nil {
		return nil, err
	}
	options := trust.Options{Environ: slices.Concat(b.rootfs.Config.Env, env), Registries: b.scope.spec.Registries}
	err = b.lodging.root().As(func() error {
		installed, err := authority.Install(rootfs, options)
		env = slices.Concat(env, installed.Environ)
		return err
	})
	return env, err
}

// note keeps what others may want to know of the container.
func (b *bundle) note(image imagestore.Image, at place, ports []engine.Port) {
	b.scope.mu.Lock()
	defer b.scope.mu.Unlock()
	b.box.place, b.box.ports, b.box.imageID = at, ports, image.Config.String()
	b.box.endpoint = b.endpoint
	if b.endpoint != nil {
		b.box.addr = b.endpoint.Addr
	}
	b.box.stopSignal = stopSignal(b.rootfs.Config.StopSignal)
}

// place is where a container is in its network: files of this machine.
type place struct {
	network, user string // namespaces to join; empty are new ones
	hosts         string
}

// joined is the place of somebody who joins the container's network.
func (x *box) joined() place {
	at := x.place
	if x.endpoint != nil {
		at.network, at.user = x.endpoint.Namespace, x.endpoint.User
	}
	return at
}

// connect gives the container its network. One that is privileged has power over the
// machine in any case, and is one of its users.
func (b *bundle) connect() (at place, err error) {
	at, err = b.findPlace()
	if b.lodging.ids().None() {
		at.user = ""
	}
	return at, err
}

func (b *bundle) findPlace() (at place, err error) {
	s, c := b.scope, b.command
	self := runnet.Container{ID: b.id, Hostname: b.hostname(), Hosts: c.Hosts, Names: c.Aliases}
	if c.Name != "" {
		self.Names = append([]string{c.Name}, c.Aliases...)
	}
	switch other, joins := strings.CutPrefix(c.Network, "container:"); {
	case joins:
		target, err := s.box(other)
		if err != nil {
			return at, daemonError("No such container: %s", other)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if target.handle == nil {
			return at, daemonError("cannot join network of a non running container: %s", target.id)
		}
		return target.joined(), nil
	case c.Network == "none":
		b.endpoint, err = s.router.Detached(self)
	case c.Network == "host":
		// A run's host is its own router: it sees all networks of the run, and nothing
		// of the machine's.
		hosts, err := b.writeFile("hosts", runnet.HostsFile(c.Hosts))
		return place{s.router.Namespace(), s.router.UserNamespace(), hosts}, err
	default:
		var n *runnet.Network
		if n, err = s.network(c.Network); err == nil {
			b.endpoint, err = n.Connect(self)
		}
	}
	if err != nil {
		return at, err
	}
	return place{hosts: b.endpoint.HostsFile}, nil
}

// network finds a network of the run. The one without a name is made when it is first
// wanted.
func (s *Scope) network(name string) (*runnet.Network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.networks[name]; n != nil {
		return n, nil
	}
	if name != "" {
		return nil, daemonError("network %s not found", name)
	}
	n, err := s.router.AddNetwork(runnet.Options{})
	if err == nil {
		s.networks[""] = n
	}
	return n, err
}

// mounts are the run's directories, the command's volumes, and the files that a
// container engine provides.
func (b *bundle) mounts(ctx context.Context, image imagestore.Image, hosts string) ([]specs.Mount, error) {
	hostname, err := b.writeFile("hostname", b.hostname()+"\n")
	if err != nil {
		return nil, err
	}
	mounts := []specs.Mount{
		b.bind(hosts, "/etc/hosts", "ro"),
		b.bind(hostname, "/etc/hostname", "ro"),
		b.bind(b.scope.executor.resolvConf, "/etc/resolv.conf", "ro"),
	}
	if b.scope.spec.Workspace != "" && !b.box.bare {
		mounts = append(mounts, b.bind(b.scope.spec.Workspace, "/workspace", "rw"))
	}
	if b.scope.spec.Home != "" && !b.box.bare {
		mounts = append(mounts, b.bind(b.scope.spec.Home, "/acb/home", "rw"))
	}
	mounts = append(mounts, b.bind(b.scope.socketPath(), dockerSocket, "rw"))
	for _, m := range b.command.Mounts {
		mount, err := b.volume(ctx, image, m)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, mount)
	}
	return mounts, nil
}

func (b *bundle) hostname() string {
	if b.command.Options.Hostname != "" {
		return b.command.Options.Hostname
	}
	return b.id[:12]
}

// run runs the process to its end.
func (b *bundle) run(ctx context.Context, stdout, stderr io.Writer, started func(*container.Handle)) (container.Exit, error) {
	stdin := b.command.Stdin
	if b.box.input != nil {
		stdin = b.box.input
	}
	exit, err := b.scope.executor.runtime.Run(ctx, container.Process{
		ID: b.id, Spec: b.spec, User: b.user, Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Grace: engine.KillGrace, Created: b.attach, Started: started,
	})
	return exit, startError(err)
}

// attach ties the container to its network, unless it uses another's.
func (b *bundle) attach(pid int) error {
	if b.endpoint == nil {
		return nil
	}
	return b.endpoint.Attach(fmt.Sprintf("/proc/%d/ns", pid))
}

// remove takes away what was made.
func (b *bundle) remove() error {
	var errs []error
	for _, published := range b.published {
		published.Close()
	}
	if b.endpoint != nil {
		errs = append(errs, b.endpoint.Close())
	}
	if b.rootfs != nil {
		errs = append(errs, b.rootfs.Remove(context.Background()))
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

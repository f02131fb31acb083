//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// MetadataAddr is where programs on Azure look for the managed-identity endpoint.
var MetadataAddr = netip.MustParseAddr("169.254.169.254")

// ServiceAddr is where a router offers the engine's own services to its containers.
var ServiceAddr = netip.MustParseAddr("169.254.169.253")

// Manager makes routers. It is safe for concurrent use.
type Manager struct {
	dir   string
	quota *quota
}

// NewManager returns a manager that keeps the files of namespaces in dir, which it
// makes if need be. The log takes what goes wrong with connections of containers.
func NewManager(dir string, log *slog.Logger) (*Manager, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of network namespaces: %w", err)
	}
	return &Manager{dir: dir, quota: newQuota(log)}, nil
}

// Cleanup removes what a former process left in the directory. Call it before the
// first Open.
func (m *Manager) Cleanup() error {
	routers, err := os.ReadDir(m.dir)
	if err != nil {
		return fmt.Errorf("listing left networks: %w", err)
	}
	for _, router := range routers {
		if err := removeRouter(filepath.Join(m.dir, router.Name())); err != nil {
			return err
		}
	}
	return nil
}

func removeRouter(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.ns"))
	if err != nil {
		return err
	}
	for _, file := range files { // *.user goes with its *.ns
		if err := removeNamespace(file); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the directory of a run's network: %w", err)
	}
	return nil
}

// Router is the network of one run. It is safe for concurrent use.
type Router struct {
	dir   string
	file  string
	ids   userns.IDs // of its containers; none is the machine's
	quota *quota
	link  *netlink.Handle // speaks to the kernel from inside the router's namespace

	mu        sync.Mutex
	all       []*Network // numbers addresses
	listeners []io.Closer
	closed    bool
}

// Open makes the router of a run; id must be fit for a file name and not in use. With IDs
// its namespaces belong to user namespaces that have them. The caller closes it.
func (m *Manager) Open(id string, ids userns.IDs) (_ *Router, err error) {
	r := &Router{dir: filepath.Join(m.dir, id), ids: ids, quota: m.quota}
	r.file = filepath.Join(r.dir, "router.ns")
	if err := os.Mkdir(r.dir, 0o711); err != nil {
		return nil, fmt.Errorf("making the directory of a run's network: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if err := makeNamespace(r.file, ids); err != nil {
		return nil, err
	}
	if r.link, err = handle(r.file); err != nil {
		return nil, err
	}
	return r, r.setLoopback()
}

// handle opens a netlink socket in the namespace behind file. The library would enter the
// namespace itself, and let go of a thread that cannot leave it.
func handle(file string) (h *netlink.Handle, err error) {
	err = inside(file, func() (err error) {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	return h, nil
}

// setLoopback brings the loopback device up and puts the service addresses on it.
// There they are reachable from every bridge: a container sends what it does not
// know to its gateway, which is this namespace.
func (r *Router) setLoopback() error {
	lo, err := r.link.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback device: %w", err)
	}
	if err := r.link.LinkSetUp(lo); err != nil {
		return fmt.Errorf("starting the loopback device: %w", err)
	}
	for _, addr := range []netip.Addr{MetadataAddr, ServiceAddr} {
		if err := r.link.AddrAdd(lo, ipAddr(netip.PrefixFrom(addr, addr.BitLen()))); err != nil {
			return fmt.Errorf("setting address %s: %w", addr, err)
		}
	}
	return nil
}

// Namespace is the file of the router's own namespace. A container put into it sees
// every network of the run: it is what "host" means to a run.
func (r *Router) Namespace() string { return r.file }

// UserNamespace is the file of the user namespace that a container in Namespace must be in;
// empty if that is the machine's.
func (r *Router) UserNamespace() string { return r.user(r.file) }

func (r *Router) user(file string) string {
	if r.ids.None() {
		return ""
	}
	return userFile(file)
}

// Listen listens for TCP inside the router's namespace. The router closes the
// listener when it is closed itself; only then does Accept return an error. There is a
// bound on its connections, and one on those of all routers; more wait.
func (r *Router) Listen(addr netip.AddrPort) (net.Listener, error) {
	var listener net.Listener
	err := inside(r.file, func() error {
		plain, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
		if err == nil {
			listener = r.quota.limit(plain)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on %s in the run's network: %w", addr, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, listener)
	return listener, nil
}

// Close removes the router and everything in it. Containers must have ended. Closing
// twice is harmless.
func (r *Router) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	for _, listener := range r.listeners {
		listener.Close() // fails only if its user closed it before
	}
	if r.link != nil {
		r.link.Close()
	}
	return removeRouter(r.dir)
}

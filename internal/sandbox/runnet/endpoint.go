//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Container is who joins a network.
type Container struct {
	ID       string   // at least twelve characters, unique in the router
	Hostname string   // its own name for itself
	Names    []string // names that others on the network find it by
	Hosts    []string // "name:address", for its hosts file only
}

// Endpoint is a container's place in a network, or in none.
type Endpoint struct {
	// Namespace is the file of the container's network namespace, and User that of the user
	// namespace that owns it; empty is the machine's. They are there once the container is
	// attached, for others who join it.
	Namespace string
	User      string
	HostsFile string
	Addr      netip.Addr // invalid without a network, as is Addr6
	Addr6     netip.Addr

	container Container
	network   *Network
}

// Connect keeps a place in the network for a container: its address, and a hosts file. The
// caller attaches the container once it has namespaces, and closes the endpoint once it has
// ended.
func (n *Network) Connect(c Container) (_ *Endpoint, err error) {
	e, err := n.router.Detached(c)
	if err != nil {
		return nil, err
	}
	e.network = n
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if err := n.take(e); err != nil {
		return nil, err
	}
	return e, n.writeHosts()
}

// Detached keeps a place for a container that has a loopback device only. The rest is as
// with Connect.
func (r *Router) Detached(c Container) (*Endpoint, error) {
	e := &Endpoint{
		Namespace: filepath.Join(r.dir, c.ID+".ns"),
		HostsFile: filepath.Join(r.dir, c.ID+".hosts"),
		container: c,
	}
	e.User = r.user(e.Namespace)
	if err := e.writeHosts(nil); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Attach ties a container to its network, before it runs anything. Its namespaces are the
// files net and user of a directory, /proc/PID/ns of its first process.
func (e *Endpoint) Attach(namespaces string) error {
	if err := keepNamespace(filepath.Join(namespaces, "net"), e.Namespace); err != nil {
		return err
	}
	if e.User != "" {
		if err := keepNamespace(filepath.Join(namespaces, "user"), e.User); err != nil {
			return err
		}
	}
	if err := inside(e.Namespace, setDefaults); err != nil {
		return err
	}
	if e.network == nil {
		return nil
	}
	return e.network.plug(e)
}

// plug makes the pair of devices that ties the container to the bridge.
func (n *Network) plug(e *Endpoint) error {
	ns, err := netns.GetFromPath(e.Namespace)
	if err != nil {
		return fmt.Errorf("opening a network namespace: %w", err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "v" + e.container.ID[:12]
	attrs.MasterIndex = n.bridge.Attrs().Index
	veth := netlink.NewVeth(attrs)
	veth.PeerName = "eth0"
	veth.PeerNamespace = netlink.NsFd(ns)
	link := n.router.link
	if err := link.LinkAdd(veth); err != nil {
		return fmt.Errorf("making a container's network device: %w", err)
	}
	if n.options.Isolated {
		if err := link.LinkSetIsolated(veth, true); err != nil {
			return fmt.Errorf("isolating a container's network device: %w", err)
		}
	}
	if err := link.LinkSetUp(veth); err != nil {
		return fmt.Errorf("starting a container's network device: %w", err)
	}
	if err := n.configure(e); err != nil {
		return err
	}
	return n.settle(veth)
}

// settleTime bounds how long a device is waited for; without it the container starts with
// a delay in its network rather than not at all.
const settleTime = 200 * time.Millisecond

// settle waits until the bridge forwards to the device, which the kernel sees to some time
// after both ends are up. What a container sends before is lost, and sent again a second
// later.
func (n *Network) settle(veth *netlink.Veth) error {
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline); time.Sleep(200 * time.Microsecond) {
		link, err := n.router.link.LinkByName(veth.Name)
		if err != nil {
			return fmt.Errorf("looking at a container's network device: %w", err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
	}
	return nil
}

// configure sets addresses and routes inside the container's namespace.
func (n *Network) configure(e *Endpoint) error {
	h, err := handle(e.Namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback device: %w", err)
	}
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("finding a container's network device: %w", err)
	}
	if err := n.ready(e.Namespace, "eth0"); err != nil {
		return err
	}
	for _, prefix := range n.prefixes() {
		addr := e.Addr
		if prefix == n.v6 {
			addr = e.Addr6
		}
		if err := h.AddrAdd(eth, ipAddr(netip.PrefixFrom(addr, prefix.Bits()))); err != nil {
			return fmt.Errorf("setting a container's address %s: %w", addr, err)
		}
	}
	for _, link := range []netlink.Link{lo, eth} {
		if err := h.LinkSetUp(link); err != nil {
			return fmt.Errorf("starting a container's network device: %w", err)
		}
	}
	for _, prefix := range n.prefixes() {
		route := &netlink.Route{LinkIndex: eth.Attrs().Index, Gw: prefix.Addr().Next().AsSlice()}
		if err := h.RouteAdd(route); err != nil {
			return fmt.Errorf("setting a container's default route: %w", err)
		}
	}
	return nil
}

// Close takes the container out of its network. Its processes must have ended.
func (e *Endpoint) Close() error {
	var err error
	if n := e.network; n != nil && e.Addr.IsValid() {
		n.mu.Lock()
		delete(n.members, e.Addr)
		n.mu.Unlock()
		err = n.writeHosts()
	}
	return errors.Join(err, removeNamespace(e.Namespace), removeFile(e.HostsFile))
}

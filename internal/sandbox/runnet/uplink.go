//go:build linux

package runnet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Uplink lets routers reach the machine's networks: by a pair of devices for each
// router, and by translating addresses once in the router and once on the machine.
// What comes from a run is forwarded only; it reaches neither the machine itself, nor
// other runs, nor link-local addresses, where clouds serve their secrets.
//
// It is safe for concurrent use.
type Uplink struct {
	host string          // file of the machine's network namespace; another one in tests
	name string          // begins the names of our devices and is the name of our table
	link *netlink.Handle // speaks to the kernel on the machine

	mu   sync.Mutex
	used map[int]bool // numbers of routers
}

// uplinkNet is where the addresses of uplinks come from, four for each router. It
// belongs to the space shared by providers, which hardly any local network uses.
var uplinkNet = netip.MustParsePrefix("100.127.0.0/16")

const maxUplinks = 1 << 14

// OpenUplink prepares the machine, after removing what a former process left there.
// The mark tells uplinks of different executors apart. Runs cannot reach deny. The
// caller closes the uplink.
func OpenUplink(mark string, deny []netip.Prefix) (*Uplink, error) {
	return openUplink(own, mark, deny)
}

func openUplink(host, mark string, deny []netip.Prefix) (_ *Uplink, err error) {
	sum := sha256.Sum256([]byte(mark))
	u := &Uplink{host: host, name: uplinkPrefix + hex.EncodeToString(sum[:3]), used: map[int]bool{}}
	if u.link, err = handle(host); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.Close())
		}
	}()
	if err := errors.Join(u.removeDevices(), u.removeTable()); err != nil {
		return nil, err
	}
	if err := u.translate(deny); err != nil {
		return nil, err
	}
	return u, inside(host, startForwarding)
}

// removeDevices removes what a former process left. The kernel takes the devices of killed
// runs away at the same time, so that the list is old before it is read.
func (u *Uplink) removeDevices() error {
	links, err := u.link.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("listing network devices: %w", err)
	}
	interrupted := err != nil
	for _, link := range links {
		if !strings.HasPrefix(link.Attrs().Name, u.name) {
			continue
		}
		if err := u.link.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("removing network device %s: %w", link.Attrs().Name, err)
		}
	}
	if interrupted { // it changed meanwhile, and something may be missing
		return u.removeDevices()
	}
	return nil
}

// Close takes everything back. Routers must be closed.
func (u *Uplink) Close() error {
	err := errors.Join(u.removeDevices(), u.removeTable(), inside(u.host, stopForwarding))
	u.link.Close()
	return err
}

// Connect ties a router to the machine's networks until the router is closed; release
// must be called then.
func (u *Uplink) Connect(r *Router) (release func(), err error) {
	number, err := u.take()
	if err != nil {
		return nil, err
	}
	if err := u.plug(r, number); err != nil {
		u.release(number)
		return nil, err
	}
	return func() { u.release(number) }, nil
}

// release gives a number back, after seeing to it that its device is gone: the kernel
// takes its time to remove the devices of a namespace that ended.
func (u *Uplink) release(number int) {
	if link, err := u.link.LinkByName(u.device(number)); err == nil {
		u.link.LinkDel(link) // fails only if the kernel was faster
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.used, number)
}

func (u *Uplink) device(number int) string { return fmt.Sprintf("%s%d", u.name, number) }

func (u *Uplink) take() (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range maxUplinks {
		if !u.used[i] {
			u.used[i] = true
			return i, nil
		}
	}
	return 0, errors.New("no address is left for another run's network")
}

// uplinkDevice is the router's end.
const uplinkDevice = "up0"

// plug makes the pair of devices, with an address at each end, and leads the router's
// packets through it.
func (u *Uplink) plug(r *Router, number int) error {
	near, far := uplinkAddrs(number)
	ns, err := netns.GetFromPath(r.file)
	if err != nil {
		return fmt.Errorf("opening a network namespace: %w", err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = u.device(number)
	veth := netlink.NewVeth(attrs)
	veth.PeerName = uplinkDevice
	veth.PeerNamespace = netlink.NsFd(ns)
	if err := u.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("making an uplink: %w", err)
	}
	if err := inside(u.host, func() error { return u.fence(attrs.Name) }); err != nil {
		return err
	}
	if err := start(u.link, attrs.Name, netip.PrefixFrom(near, 30)); err != nil {
		return err
	}
	if err := start(r.link, uplinkDevice, netip.PrefixFrom(far, 30)); err != nil {
		return err
	}
	up, err := r.link.LinkByName(uplinkDevice)
	if err != nil {
		return fmt.Errorf("finding an uplink: %w", err)
	}
	route := &netlink.Route{LinkIndex: up.Attrs().Index, Gw: near.AsSlice()}
	if err := r.link.RouteAdd(route); err != nil {
		return fmt.Errorf("setting a router's default route: %w", err)
	}
	if err := inside(r.file, func() error { return setForwarding("1") }); err != nil {
		return fmt.Errorf("letting a router forward packets: %w", err)
	}
	return translateRouter(r.file)
}

func uplinkAddrs(number int) (near, far netip.Addr) {
	base := uplinkNet.Addr().As4()
	base[2] += byte(number >> 6)
	base[3] += byte(number << 2)
	near = netip.AddrFrom4(base).Next()
	return near, near.Next()
}

func start(h *netlink.Handle, name string, addr netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding network device %s: %w", name, err)
	}
	if err := h.AddrAdd(link, ipAddr(addr)); err != nil {
		return fmt.Errorf("setting address %s: %w", addr, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("starting network device %s: %w", name, err)
	}
	return nil
}

//go:build linux

package runnet

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// connect tries to make a TCP connection on the calling thread, for at most half a
// second.
func connect(addr netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	wait := unix.Timeval{Usec: 500_000}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
		return err
	}
	return unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
}

// join gives a container a place, and the namespace that a runtime would have made for it.
func join(n *Network, c Container) (*Endpoint, error) {
	e, err := n.Connect(c)
	if err != nil {
		return nil, err
	}
	return e, attach(e)
}

func attach(e *Endpoint) error {
	dir := e.HostsFile + ".made"
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	made := filepath.Join(dir, "net")
	if err := makeNamespace(made, userns.IDs{}); err != nil {
		return err
	}
	return errors.Join(e.Attach(dir), removeNamespace(made), os.Remove(dir))
}

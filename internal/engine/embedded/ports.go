//go:build linux && cgo

package embedded

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/sandbox/runnet"
)

// publish publishes the container's ports, and returns them as they are then. Without a
// network of its own it has none to publish, as with docker.
func (b *bundle) publish() ([]engine.Port, error) {
	if b.endpoint == nil || !b.endpoint.Addr.IsValid() {
		return nil, nil
	}
	ports, err := engine.ParsePorts(b.command.Ports)
	if err != nil {
		return nil, daemonError("%v", err)
	}
	for i, p := range ports {
		published, err := b.scope.router.Publish(runnet.Publication{
			Network: p.Network, At: p.At, To: netip.AddrPortFrom(b.endpoint.Addr, p.Container),
			Machine: b.scope.executor.publishAt,
		})
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return nil, daemonError("driver failed programming external connectivity on endpoint %s: Bind for %s failed: port is already allocated", b.command.Name, p.At)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return nil, daemonError("driver failed programming external connectivity on endpoint %s: cannot assign requested address: %s is no address of the run", b.command.Name, p.At.Addr())
		case err != nil:
			return nil, err
		}
		b.published = append(b.published, published)
		ports[i].At = netip.AddrPortFrom(p.At.Addr(), published.Port)
	}
	return ports, nil
}

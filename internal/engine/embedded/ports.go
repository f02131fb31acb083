//go:build linux && cgo

package embedded

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/acrux/acrux/internal/engine/runnet"
)

// port is one port that is published.
type port struct {
	network   string
	at        netip.AddrPort // on what is the host to the run; port 0 is any
	container uint16
}

// maxPorts bounds what one container publishes.
const maxPorts = 256

// parsePorts reads what -p takes: [[ADDRESS:]PORT:]PORT[/PROTOCOL], each port a range of
// as many.
func parsePorts(entries []string) ([]port, error) {
	var ports []port
	for _, entry := range entries {
		more, ok := parsePort(entry)
		if !ok {
			return nil, &refused{code: 125, text: "docker: invalid publish opts format (should be [[address:]port:]port[/protocol]): " + entry}
		}
		ports = append(ports, more...)
		if len(ports) > maxPorts {
			return nil, daemonError("a container cannot publish more than %d ports", maxPorts)
		}
	}
	return ports, nil
}

func parsePort(entry string) ([]port, bool) {
	entry, network, given := strings.Cut(entry, "/")
	if !given {
		network = "tcp"
	}
	rest, container := cutLast(entry)
	address, host := cutLast(rest)
	at := netip.IPv4Unspecified()
	if address != "" {
		var err error
		if at, err = netip.ParseAddr(strings.Trim(address, "[]")); err != nil {
			return nil, false
		}
	}
	inside, count, ok := portRange(container)
	outside, matching := uint16(0), count
	if ok && host != "" {
		outside, matching, ok = portRange(host)
	}
	if !ok || matching != count || network != "tcp" && network != "udp" {
		return nil, false
	}
	var ports []port
	for i := range uint16(count) {
		p := port{network: network, at: netip.AddrPortFrom(at, 0), container: inside + i}
		if host != "" {
			p.at = netip.AddrPortFrom(at, outside+i)
		}
		ports = append(ports, p)
	}
	return ports, true
}

// cutLast cuts at the last colon. Without one, all is behind it.
func cutLast(text string) (before, after string) {
	i := strings.LastIndexByte(text, ':')
	return text[:max(i, 0)], text[i+1:]
}

// portRange reads N or N-M.
func portRange(text string) (first uint16, count int, ok bool) {
	low, high, ranged := strings.Cut(text, "-")
	if !ranged {
		high = low
	}
	from, err := strconv.ParseUint(low, 10, 16)
	if err != nil {
		return 0, 0, false
	}
	to, err := strconv.ParseUint(high, 10, 16)
	return uint16(from), int(to) - int(from) + 1, err == nil && from > 0 && from <= to
}

// publish publishes the container's ports. Without a network of its own it has none to
// publish, as with docker.
func (b *bundle) publish() error {
	if b.endpoint == nil || !b.endpoint.Addr.IsValid() {
		return nil
	}
	ports, err := parsePorts(b.command.Ports)
	if err != nil {
		return err
	}
	for _, p := range ports {
		published, err := b.scope.router.Publish(runnet.Publication{
			Network: p.network, At: p.at, To: netip.AddrPortFrom(b.endpoint.Addr, p.container),
			Machine: b.scope.executor.publishAt,
		})
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return daemonError("driver failed programming external connectivity on endpoint %s: Bind for %s failed: port is already allocated", b.command.Name, p.at)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return daemonError("driver failed programming external connectivity on endpoint %s: cannot assign requested address: %s is no address of the run", b.command.Name, p.at.Addr())
		case err != nil:
			return err
		}
		b.published = append(b.published, published)
	}
	return nil
}

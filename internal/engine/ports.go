package engine

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Port is one port of a container that is published.
type Port struct {
	Network   string         // "tcp" or "udp"
	At        netip.AddrPort // on what is the host to the run; port 0 is any
	Container uint16
}

// maxPorts bounds what one container publishes.
const maxPorts = 256

// ParsePorts reads Command.Ports: [[ADDRESS:]PORT:]PORT[/PROTOCOL], each port a range of as
// many. Its errors are docker's words.
func ParsePorts(entries []string) ([]Port, error) {
	var ports []Port
	for _, entry := range entries {
		more, ok := parsePort(entry)
		if !ok {
			return nil, fmt.Errorf("invalid publish opts format (should be [[address:]port:]port[/protocol]): %s", entry)
		}
		ports = append(ports, more...)
		if len(ports) > maxPorts {
			return nil, fmt.Errorf("a container cannot publish more than %d ports", maxPorts)
		}
	}
	return ports, nil
}

func parsePort(entry string) ([]Port, bool) {
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
	var ports []Port
	for i := range uint16(count) {
		p := Port{Network: network, At: netip.AddrPortFrom(at, 0), Container: inside + i}
		if host != "" {
			p.At = netip.AddrPortFrom(at, outside+i)
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

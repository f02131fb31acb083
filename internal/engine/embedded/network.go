//go:build linux && cgo

package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/sandbox/runnet"
	"github.com/acrux/acrux/internal/sandbox/userns"
)

// openNetworks prepares what all runs share: the way out, and what they find on their way.
func (e *Executor) openNetworks(o Options) error {
	e.resolvConf = e.path("resolv.conf")
	if err := os.WriteFile(e.resolvConf, []byte("nameserver "+runnet.ServiceAddr.String()+"\n"), 0o644); err != nil {
		return fmt.Errorf("writing resolv.conf: %w", err)
	}
	e.services = runnet.Services{Own: o.Dialer.Own, Ports: o.OwnPorts}
	if e.services.Ports == nil {
		e.services.Ports = []uint16{443}
	}
	return e.openUplink(o)
}

// openUplink opens the way out, if there is to be one. A file tells the next process
// that the machine holds something of ours.
func (e *Executor) openUplink(o Options) (err error) {
	if userns.Inside() {
		return e.openOutside(o)
	}
	marker := e.path("uplink")
	if _, err := os.Stat(marker); err != nil && !o.Egress {
		return nil
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return fmt.Errorf("noting the uplink: %w", err)
	}
	if e.uplink, err = runnet.OpenUplink(e.root, o.Dialer.Policy.Deny); err != nil {
		return err
	}
	if !o.Egress { // it was opened to be cleaned
		err := e.closeUplink()
		e.uplink = nil
		return err
	}
	e.services.Upstream, err = nameServers("/etc/resolv.conf")
	return err
}

// openOutside opens the way out of an ordinary user.
func (e *Executor) openOutside(o Options) (err error) {
	if !o.Egress {
		return nil
	}
	e.log.Warn("steps reach the machine's networks by TCP only: other ways out are for root of the machine to make")
	e.outside = dialOutside(egress.Policy{Deny: o.Dialer.Policy.Deny}) // what an uplink would let through
	e.services.Upstream, err = nameServers("/etc/resolv.conf")
	return err
}

// dialTimeout is how long an address outside has to answer.
const dialTimeout = 10 * time.Second

// dialOutside connects where an uplink would lead: neither to the machine itself nor to
// what its configuration denies.
func dialOutside(policy egress.Policy) runnet.Dial {
	return func(addr netip.AddrPort) (net.Conn, error) {
		if err := policy.Check(addr.Addr()); err != nil {
			return nil, err
		}
		return net.DialTimeout("tcp", addr.String(), dialTimeout)
	}
}

func (e *Executor) closeUplink() error {
	return errors.Join(e.uplink.Close(), os.Remove(e.path("uplink")))
}

// nameServers reads the machine's name servers. They are asked by this process, so
// one on the loopback interface will do.
func nameServers(file string) ([]netip.AddrPort, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the machine's name servers: %w", err)
	}
	var servers []netip.AddrPort
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr, 53))
		}
	}
	return servers, nil
}

// router is a router with its way out.
type router struct {
	*runnet.Router
	release func()
}

func (e *Executor) openRouter(id string, ids userns.IDs) (_ *router, err error) {
	r := &router{release: func() {}}
	if r.Router, err = e.networks.Open(id, ids); err != nil {
		return nil, err
	}
	if err := r.Serve(e.services); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if e.outside != nil {
		if err := r.Redirect(e.outside); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	if e.uplink != nil {
		release, err := e.uplink.Connect(r.Router)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.release = release
	}
	return r, nil
}

// Close removes the router and gives its number back.
func (r *router) Close() error {
	err := r.Router.Close()
	r.release()
	return err
}

// Package egress is the one way out for traffic that goes where a user said:
// imports, base images, git and tarball contexts, webhooks, foreign key sets.
//
// A Dialer judges the address it is about to connect to, not the name, so a DNS
// answer that changes between check and use gains nothing. It also knows the names
// of this installation's own hosts, which need no DNS, and the mirrors that stand
// in for other registries.
//
// There are two policies: one for what a caller asks for, who is known by then, and a
// stricter one for what content asks for, whose author may be anybody: Dockerfiles, steps,
// task files and submodules out of a repository. See Dialer.ForContent.
//
// What is refused: link-local addresses and the other ones of cloud metadata always, and
// unspecified and multicast ones; the machine itself, which is loopback, the addresses of
// its interfaces and the networks of runs, unless Policy.Loopback. Private networks are
// allowed: closed networks are where Acrux is meant to work.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Own tells whether host ("name" or "name:port") is a name of this installation,
// and at which address ("ip:port") it is to be had. It must be fast and safe for
// concurrent use.
type Own func(host string) (addr string, ok bool)

// Dialer makes guarded connections. Its fields are set before first use and not
// changed afterwards; its methods are safe for concurrent use.
type Dialer struct {
	Policy  Policy             // for what callers ask for
	Content Policy             // for what content asks for
	Own     Own                // may be nil
	RootCAs *x509.CertPool     // system roots and the installation's own; nil is the system's
	Mirrors map[string]url.URL // registry host → where its images are really fetched

	Namesake   Namesake // may be nil; for Advice
	MirrorFlag string   // the option that names a mirror, where no configuration does; for Advice
}

// ForContent returns the dialer for what content asks for.
func (d *Dialer) ForContent() *Dialer {
	strict := *d
	strict.Policy = d.Content
	return &strict
}

// IsOwn reports whether host ("name" or "name:port") is a name of this installation.
func (d *Dialer) IsOwn(host string) bool {
	if d.Own == nil {
		return false
	}
	_, own := d.Own(host)
	return own
}

// DialContext connects to addr. Own names are dialed at their known address and
// not judged; everything else is.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.Own != nil {
		if own, ok := d.Own(addr); ok {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, own)
		}
	}
	guarded := &net.Dialer{Timeout: dialTimeout, Control: d.control}
	return guarded.DialContext(ctx, network, addr)
}

// dialTimeout bounds one attempt to connect.
const dialTimeout = 10 * time.Second

func (d *Dialer) control(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("judging the address %q: %w", address, err)
	}
	return d.Policy.Check(addr.Addr())
}

// Transport returns a new transport on the dialer. HTTP/2 is off: registries serve
// large blobs faster without it.
func (d *Dialer) Transport() *http.Transport { return d.transport(d.DialContext) }

// MirrorTransport is Transport for requests to mirrors. Those are connected to whatever the
// policy says, since the configuration names them; where they redirect to is judged. It is
// no transport for anything else: who names a mirror's address means to go past the policy.
func (d *Dialer) MirrorTransport() *http.Transport { return d.transport(d.dialMirror) }

// TransportOf is the one of the two that fetches images of a registry host.
func (d *Dialer) TransportOf(host string) *http.Transport {
	if _, ok := d.Mirror(host); ok {
		return d.MirrorTransport()
	}
	return d.Transport()
}

func (d *Dialer) dialMirror(ctx context.Context, network, addr string) (net.Conn, error) {
	for _, mirror := range d.Mirrors {
		if addr == hostPort(mirror) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
		}
	}
	return d.DialContext(ctx, network, addr)
}

// hostPort is where a URL leads.
func hostPort(u url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

type dial func(ctx context.Context, network, addr string) (net.Conn, error)

func (d *Dialer) transport(dial dial) *http.Transport {
	return &http.Transport{
		DialContext:           dial,
		TLSClientConfig:       &tls.Config{RootCAs: d.RootCAs, MinVersion: tls.VersionTLS12},
		TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSHandshakeTimeout:   dialTimeout,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: time.Minute,
	}
}

// Mirror returns where images of a registry host are fetched instead, if anywhere.
// docker.io has several names; all of them mean the same mirror.
func (d *Dialer) Mirror(host string) (url.URL, bool) {
	mirror, ok := d.Mirrors[CanonicalHost(host)]
	return mirror, ok
}

// CanonicalHost folds the names of Docker Hub into "docker.io" and lowers the rest.
func CanonicalHost(host string) string {
	host = strings.ToLower(host)
	switch host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return "docker.io"
	}
	return host
}

// PlainHTTP reports whether a registry host is spoken to without TLS: as docker
// does it, those whose name is localhost or a loopback address. Own names never are.
func (d *Dialer) PlainHTTP(host string) bool {
	if d.IsOwn(host) {
		return false
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && addr.IsLoopback()
}

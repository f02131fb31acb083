// Package egress is the one way out for traffic that goes where a user said:
// imports, base images, git and tarball contexts, webhooks, foreign key sets.
//
// A Dialer judges the address it is about to connect to, not the name, so a DNS
// answer that changes between check and use gains nothing. It also knows the names
// of this installation's own hosts, which need no DNS, and the mirrors that stand
// in for other registries.
//
// What is refused: link-local addresses and the other ones of cloud metadata always, and
// unspecified and multicast ones; loopback unless Policy.Loopback, which daemon sets
// when the server itself listens on loopback only: then whoever can reach the
// server can reach the machine's loopback as well. Private networks are allowed:
// closed networks are where Acrux is meant to work.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Policy says which addresses may be connected to.
type Policy struct {
	Loopback bool           // 127.0.0.0/8 and ::1
	Allow    []netip.Prefix // allowed whatever else is said, link-local excepted
	Deny     []netip.Prefix // refused unless allowed
}

// Check returns nil if addr may be connected to.
func (p Policy) Check(addr netip.Addr) error {
	addr = embedded(addr.Unmap())
	switch {
	case addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast() || addr == broadcast || slices.Contains(metadata, addr):
		return refuse(addr)
	case within(p.Allow, addr):
		return nil
	case addr.IsLoopback() && !p.Loopback, within(p.Deny, addr):
		return refuse(addr)
	}
	return nil
}

var (
	broadcast  = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

// metadata are the addresses outside of link-local where clouds answer machines about
// themselves: AWS over IPv6, Alibaba, Azure's platform.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16")}

// embedded is the IPv4 address that a translating network makes of an IPv6 address
// (RFC 6052), or addr itself.
func embedded(addr netip.Addr) netip.Addr {
	if !translated.Contains(addr) {
		return addr
	}
	raw := addr.As16()
	return netip.AddrFrom4([4]byte(raw[12:]))
}

func within(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func refuse(addr netip.Addr) error {
	return problem.New(problem.Invalid, "AddressNotAllowed", "connecting to %s is not allowed by this server's egress policy", addr).
		Hint("add its network to egress.allow in the server's configuration")
}

// Own tells whether host ("name" or "name:port") is a name of this installation,
// and at which address ("ip:port") it is to be had. It must be fast and safe for
// concurrent use.
type Own func(host string) (addr string, ok bool)

// Dialer makes guarded connections. Its fields are set before first use and not
// changed afterwards; its methods are safe for concurrent use.
type Dialer struct {
	Policy  Policy
	Own     Own                // may be nil
	RootCAs *x509.CertPool     // system roots and the installation's own; nil is the system's
	Mirrors map[string]url.URL // registry host → where its images are really fetched
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
func (d *Dialer) Transport() *http.Transport {
	return &http.Transport{
		DialContext:           d.DialContext,
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
	if d.Own != nil {
		if _, ok := d.Own(host); ok {
			return false
		}
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

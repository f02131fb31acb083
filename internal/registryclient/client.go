// Package registryclient is what Acrux is as a client of registries, beside moving content:
// where a registry is asked (at its mirror, or by the other name that Docker Hub has), how one
// signs in there, and what its refusals say. Content is moved by containerd in sandbox/imagestore
// and by go-containerregistry elsewhere; both go to the places that are found here.
//
//	host ──Place──▶ mirror or registry ──Login, Exchange──▶ credential, or *Refusal
//	image ──Digest──▶ what its tag means now
package registryclient

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/acrux/acrux/internal/egress"
)

// Place is where a registry is asked.
type Place struct {
	Scheme string // "https", or "http"
	Host   string // "name:port" if the port is not the scheme's
	Path   string // in front of the names of repositories, without slashes around it; empty but for mirrors
	Mirror bool   // it is not the registry itself, which gets no credential there and no pushes
}

// Plain reports whether the place is spoken to without TLS.
func (p Place) Plain() bool { return p.Scheme == "http" }

// Base is the address of the registry's API without a slash at its end: "https://HOST/v2", and
// the path.
func (p Place) Base() string {
	base := p.Scheme + "://" + p.Host + "/v2"
	if p.Path != "" {
		base += "/" + p.Path
	}
	return base
}

// Reading is where the content of a registry host is read: at its mirror if it has one. What a
// mirror does not have is nowhere: in a closed network nobody else is to be asked.
func Reading(dialer *egress.Dialer, host string) Place {
	if mirror, ok := dialer.Mirror(host); ok {
		return mirrorAt(mirror)
	}
	return Itself(dialer, host)
}

func mirrorAt(mirror url.URL) Place {
	return Place{Scheme: mirror.Scheme, Host: mirror.Host, Path: strings.Trim(mirror.Path, "/"), Mirror: true}
}

// Itself is the registry of a host itself.
func Itself(dialer *egress.Dialer, host string) Place {
	scheme := "https"
	if dialer.PlainHTTP(host) {
		scheme = "http"
	}
	if egress.CanonicalHost(host) == "docker.io" {
		host = "registry-1.docker.io"
	}
	return Place{Scheme: scheme, Host: host}
}

// Client asks registries through one dialer and by nothing else. It holds connections and no
// credentials, and is safe for concurrent use.
type Client struct {
	Dialer *egress.Dialer
	// UserAgent is what it calls itself.
	UserAgent string
	// Suffixes are what the login servers of Azure's registries end in: AzureSuffixes if it is
	// nil.
	Suffixes []string

	direct  *http.Client
	mirrors *http.Client // of mirrors alone
	staying *http.Client // goes to no other host than it was sent to
}

// New returns a client.
func New(dialer *egress.Dialer, userAgent string) *Client {
	direct := dialer.Transport()
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		Dialer: dialer, UserAgent: userAgent, direct: &http.Client{Transport: direct},
		mirrors: &http.Client{Transport: dialer.MirrorTransport()},
		staying: &http.Client{Transport: direct, CheckRedirect: stay},
	}
}

// Close ends idle connections.
func (c *Client) Close() {
	c.direct.CloseIdleConnections()
	c.mirrors.CloseIdleConnections()
}

// HTTP is who asks at a place.
func (c *Client) HTTP(p Place) *http.Client {
	if p.Mirror {
		return c.mirrors
	}
	return c.direct
}

// Reading is where the content of a registry host is read.
func (c *Client) Reading(host string) Place { return Reading(c.Dialer, host) }

// Itself is the registry of a host itself.
func (c *Client) Itself(host string) Place { return Itself(c.Dialer, host) }

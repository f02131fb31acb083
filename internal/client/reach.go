package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// again is the command that tells a client anew of its server.
func (p Profile) again() string {
	if p.Elsewhere {
		return "acrux login --server " + p.Address
	}
	return `eval "$(acrux env --data DIR)"`
}

// running is what to do about a server that nobody hears.
func (p Profile) running() string {
	if p.Elsewhere {
		return "ask who runs it, or if it is at another address now: acrux login --server HOST:PORT"
	}
	return "is it running? acrux serve --data DIR"
}

// rootPool reads the authorities that the server's certificate may be of.
func (p Profile) rootPool() (*x509.CertPool, error) {
	bundle := p.CABundle
	if bundle == "" {
		return nil, nil // the system's
	}
	text, err := os.ReadFile(bundle)
	if err != nil {
		return nil, problem.New(problem.Invalid, "CABundleDamaged", "CA_BUNDLE cannot be read: %v", err).
			Because(err).Hint("%s", p.again())
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, problem.New(problem.Invalid, "CABundleDamaged", "CA_BUNDLE (%s) holds no certificate", bundle).
			Hint("%s", p.again())
	}
	return pool, nil
}

// unreachable says why a request had no answer, and what helps.
func (c *Client) unreachable(req *http.Request, err error) error {
	if req.Context().Err() != nil {
		return context.Cause(req.Context())
	}
	failed := func(code, format string, args ...any) *problem.Error {
		return problem.New(problem.Unavailable, code, format, args...).Because(err)
	}
	var opErr *net.OpError
	var header tls.RecordHeaderError
	var timeout net.Error
	host := req.URL.Host
	if req.URL.Scheme == "http" && !(errors.As(err, &opErr) && opErr.Op == "dial") {
		return c.needsTLS(req)
	}
	if p := c.untrusted(host, err); p != nil {
		return p.Because(err)
	}
	switch {
	case errors.As(err, &opErr) && opErr.Op == "dial":
		return failed("ServerUnreachable", "the server %s cannot be reached: %v", host, opErr.Err).
			Hint("%s", c.running())
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch):
		return failed("NoTLS", "what answers for %s%s does not speak TLS: it is another program, or the port of listenPlain", host, c.dialed()).
			Hint("%s", c.again())
	case errors.As(err, &timeout) && timeout.Timeout():
		return failed("ServerSilent", "the server %s%s takes connections, and does not answer", host, c.dialed()).
			Hint("%s", c.again())
	}
	return failed("ServerUnreachable", "the server %s%s cannot be asked: %v", host, c.dialed(), plainCause(err)).
		Hint("%s", c.again())
}

// dialed names the address that is dialed for all hosts, if there is one.
func (c *Client) dialed() string {
	if c.Address == "" {
		return ""
	}
	return " at " + c.Address
}

// plainCause is an error without the request that its reader knows.
func plainCause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// untrusted says what is wrong with a server's certificate; nil if it is not that.
func (c *Client) untrusted(host string, err error) *problem.Error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	failed := func(format string, args ...any) *problem.Error {
		return problem.New(problem.Unavailable, "ServerNotTrusted", format, args...)
	}
	switch {
	case errors.As(err, &unknown) && c.CABundle == "":
		return failed("the certificate of %s%s is of an authority that this machine does not know, and CA_BUNDLE is not set", host, c.dialed()).
			Hint("%s", c.again())
	case errors.As(err, &unknown):
		return failed("the authority of the server %s%s is another than CA_BUNDLE (%s) has", host, c.dialed(), c.CABundle).
			Hint("%s", c.again())
	case errors.As(err, &name):
		return failed("the certificate of the server%s is for %s, and not for %s: the address and the names are of two servers",
			c.dialed(), namesOf(name.Certificate), name.Host).
			Hint("%s", c.again())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return outOfTime(host, invalid.Cert)
	case errors.As(err, &invalid):
		return failed("the certificate of the server %s%s is not valid: %v", host, c.dialed(), invalid).Hint("%s", c.again())
	}
	return nil
}

// outOfTime is about a certificate whose time is over or is yet to come.
func outOfTime(host string, cert *x509.Certificate) *problem.Error {
	p := problem.New(problem.Unavailable, "ServerNotTrusted", "the certificate of the server %s is for the time from %s to %s, and here it is %s", host,
		cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	return p.Hint("compare the clocks of both machines: date --utc").
		Hint("or let a new start renew the certificate: acrux stop --data DIR; acrux serve --data DIR --detach")
}

// namesOf are a few of those that a certificate is for.
func namesOf(cert *x509.Certificate) string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	switch few := 4; {
	case len(names) == 0:
		return "no name"
	case len(names) > few:
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return strings.Join(names, ", ")
}

// overPlain reports whether a server answered that it was asked without TLS: servers of Go and
// nginx say so.
func overPlain(req *http.Request, status int, body []byte) bool {
	text := string(body[:min(len(body), 1<<10)])
	return req.URL.Scheme == "http" && status == http.StatusBadRequest &&
		(strings.Contains(text, "HTTP request to an HTTPS server") || strings.Contains(text, "plain HTTP request was sent to HTTPS port"))
}

func (p Profile) needsTLS(req *http.Request) error {
	return problem.New(problem.Invalid, "TLSNeeded", "%s speaks TLS, and was asked without: ARM_ENDPOINT begins with http://", req.URL.Host).
		Hint("%s", p.again())
}

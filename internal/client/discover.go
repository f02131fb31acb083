package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// discoveryPath is where servers say who they are, at each of their names and addresses.
const discoveryPath = "/.well-known/acrux"

// Found is a server that was asked who it is.
type Found struct {
	Profile Profile // without who signs in, and without a bundle
	CA      []byte  // its authority in PEM form; nil if the system trusts its certificate anyway
}

// Discover asks the server at an address, HOST, HOST:PORT or https://HOST:PORT, who it is.
// Unless the system trusts its certificate, trust is asked about the authority that signed
// it, by its fingerprint, and an error of trust is the outcome: nothing else that the server
// says is looked at before. With must, the fingerprint is asked about in any case.
func Discover(ctx context.Context, server string, must bool, trust func(fingerprint string) error) (Found, error) {
	address, err := ServerAddress(server)
	if err != nil {
		return Found{}, err
	}
	host, _, _ := net.SplitHostPort(address)
	if !must {
		found, err := ask(ctx, address, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
		if !errors.As(err, new(*tls.CertificateVerificationError)) {
			found.CA = nil
			return found, err
		}
	}
	// What is not verified here is shown to somebody, and nothing else is done with it.
	authority, err := presented(ctx, address, host)
	if err != nil {
		return Found{}, err
	}
	if err := trust(fingerprint(authority)); err != nil {
		return Found{}, err
	}
	found, err := ask(ctx, address, signedBy(authority, host))
	if err == nil {
		found.CA = sameKey(found.CA, authority)
	}
	return found, err
}

// plainHost is a name or an address of which a shell, too, makes nothing else.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)

// ServerAddress is the HOST:PORT of HOST, HOST:PORT or https://HOST:PORT; the port is 443 where
// there is none. It may be put into a command as it is.
func ServerAddress(server string) (string, error) {
	given := server
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	invalid := problem.New(problem.Invalid, "InvalidArgument", "'%s' is no address of a server", given).
		Hint("acrux login --server HOST:PORT")
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || !plainHost.MatchString(u.Hostname()) || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", invalid
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", invalid
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// Fingerprint names the authority whose certificates a PEM text has, the newest first, by
// its key, which stays when it gets another certificate: sha256: and the hash of the
// SubjectPublicKeyInfo (RFC 7469, section 2.4).
func Fingerprint(ca []byte) (string, error) {
	block, _ := pem.Decode(ca)
	if block == nil {
		return "", errors.New("there is no certificate in it")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	return fingerprint(cert), nil
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// presented returns the authority that a server shows at the end of its certificates.
func presented(ctx context.Context, address, host string) (*x509.Certificate, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second},
		Config: &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, notFound(ctx, address, err)
	}
	defer conn.Close()
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	last := chain[len(chain)-1]
	if !last.IsCA || last.CheckSignatureFrom(last) != nil {
		return nil, problem.New(problem.Denied, "UnknownAuthority",
			"the certificate of %s is not trusted by this system, and the server does not show the authority that signed it", address).
			Hint("add the authority to those that this system trusts")
	}
	return last, nil
}

// signedBy accepts servers that an authority vouches for, under whatever name they are
// asked: what names they may have is looked at when they have said which.
func signedBy(authority *x509.Certificate, host string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	verify := func(state tls.ConnectionState) error {
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
		return err
	}
	return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: verify}
}

// sameKey keeps of an authority's certificates those of its key.
func sameKey(all []byte, authority *x509.Certificate) (kept []byte) {
	for block, rest := pem.Decode(all); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil && fingerprint(cert) == fingerprint(authority) {
			kept = append(kept, pem.EncodeToMemory(block)...)
		}
	}
	if kept == nil {
		kept = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})
	}
	return kept
}

// ask reads what the server says of itself. It must have a certificate for the names that it
// says are its own.
func ask(ctx context.Context, address string, config *tls.Config) (Found, error) {
	transport := &http.Transport{TLSClientConfig: config, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext}
	defer transport.CloseIdleConnections()
	c := http.Client{Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+discoveryPath, nil)
	if err != nil {
		return Found{}, err
	}
	res, err := c.Do(req)
	if err != nil {
		return Found{}, notFound(ctx, address, err)
	}
	defer res.Body.Close()
	var said struct{ Management, Authority, Graph, TenantID, SubscriptionID, CA string }
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&said)
	if res.StatusCode != http.StatusOK || err != nil || said.Management == "" {
		return Found{}, problem.New(problem.NotFound, "NoServer", "what answers at %s is not Acrux, or an older one", address)
	}
	for _, its := range []string{said.Management, said.Authority, said.Graph} {
		u, err := url.Parse(its)
		if err != nil || u.Scheme != "https" {
			return Found{}, fmt.Errorf("%s calls itself %q", address, its)
		}
		if err := res.TLS.PeerCertificates[0].VerifyHostname(u.Hostname()); err != nil {
			return Found{}, fmt.Errorf("%s calls itself %s: %w", address, its, err)
		}
	}
	return Found{CA: []byte(said.CA), Profile: Profile{Management: said.Management, Authority: said.Authority, GraphURL: said.Graph,
		Tenant: said.TenantID, Subscription: said.SubscriptionID, Address: address, Elsewhere: true}}, nil
}

// notFound says why a server could not be asked who it is.
func notFound(ctx context.Context, address string, err error) error {
	var op *net.OpError
	var invalid x509.CertificateInvalidError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &op) && op.Op == "dial":
		return problem.New(problem.Unavailable, "ServerUnreachable", "nothing answers at %s: %v", address, op.Err).Because(err).
			Hint("acrux login --server HOST:PORT, as acrux admin invite prints it on the machine of the server")
	case errors.As(err, new(tls.RecordHeaderError)) || errors.Is(err, http.ErrSchemeMismatch):
		return problem.New(problem.Unavailable, "NoTLS", "what answers at %s does not speak TLS", address).Because(err).
			Hint("acrux login --server HOST:PORT, with the port of the setting listen")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return outOfTime(address, invalid.Cert).Because(err)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return problem.New(problem.Denied, "OtherAuthority", "the certificate of %s is not of the authority that it shows: "+
			"it is another server, or somebody is in between", address).Because(err)
	}
	// One who shows another's certificate and lacks its key gets this far, too.
	return problem.New(problem.Unavailable, "NoHandshake", "what answers at %s does not prove to be a server: %v; "+
		"if it is at the right address, somebody may be in between", address, plainCause(err)).Because(err)
}

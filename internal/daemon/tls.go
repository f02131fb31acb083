package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/secret"
)

// authority signs the server's certificates. Users trust it, so it is constrained
// to the installation's domain: who steals its key cannot pose as anybody else.
//
// Its key stays when its certificate is renewed, and so does its name: what it signs is
// trusted by those who have either certificate, each until that ends.
type authority struct {
	key   *ecdsa.PrivateKey
	certs []*x509.Certificate // the newest first; a renewal drops those whose time is over
}

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 397 * 24 * time.Hour // what clients accept at most
	renewAt  = 30 * 24 * time.Hour
	// caRenewAt is how long before its end the authority gets its next certificate: what it
	// signs until then ends before the old one does, and users have a year for the new one.
	caRenewAt = leafLife
)

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails (crypto/rand)
	return n
}

// newAuthority makes an authority for names at or below domains.
func newAuthority(name string, domains []string, now time.Time) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	cert, err := selfSigned(key, name, domains, now, caLife)
	return &authority{key, []*x509.Certificate{cert}}, err
}

func selfSigned(key *ecdsa.PrivateKey, name string, domains []string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: domains}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// cert is the certificate that signs.
func (a *authority) cert() *x509.Certificate { return a.certs[0] }

// next is a further certificate of the authority.
func (a *authority) next(now time.Time, life time.Duration) (*x509.Certificate, error) {
	return selfSigned(a.key, a.cert().Subject.CommonName, a.cert().PermittedDNSDomains, now, life)
}

func (a *authority) pem() (text []byte) {
	for _, cert := range a.certs {
		text = append(text, encode("CERTIFICATE", cert.Raw)...)
	}
	return text
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// authorityFiles are where the installation's authority is.
type authorityFiles struct{ cert, key string }

func authorityIn(dir string) authorityFiles {
	return authorityFiles{filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")}
}

// open reads the installation's authority, which a renewer renews, or makes it: the first time,
// or when its time is over. It is kept when the domain changes: it gets one more certificate,
// for all domains that it had.
func (f authorityFiles) open(domain string, now time.Time) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now.After(pair.Leaf.NotAfter) {
		return f.make(domain, now)
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate authority %s and its key: %w; put them back from a copy, or remove both, and the next start makes others", f.cert, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key in %s is not an ECDSA key", f.key)
	}
	ca := &authority{key: key}
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("a certificate in %s: %w", f.cert, err)
		}
		ca.certs = append(ca.certs, cert)
	}
	if !permits(ca.cert(), domain) {
		return f.extended(ca, domain, now)
	}
	return ca, nil
}

func permits(cert *x509.Certificate, domain string) bool {
	return slices.Contains(cert.PermittedDNSDomains, domain)
}

// extended returns the authority with one more certificate, which is for one more domain.
func (f authorityFiles) extended(old *authority, domain string, now time.Time) (*authority, error) {
	domains := append(slices.Clone(old.cert().PermittedDNSDomains), domain)
	cert, err := selfSigned(old.key, old.cert().Subject.CommonName, domains, now, caLife)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority for %s: %w", domain, err)
	}
	ca := &authority{old.key, append([]*x509.Certificate{cert}, old.certs...)}
	return ca, f.writeCerts(ca)
}

// renewed returns the authority with one more certificate if it ends soon, and without
// those that have ended. The file has them all then.
func (f authorityFiles) renewed(old *authority, now time.Time) (*authority, error) {
	if now.Before(old.cert().NotAfter.Add(-caRenewAt)) {
		return old, nil
	}
	cert, err := old.next(now, caLife)
	if err != nil {
		return nil, fmt.Errorf("renewing the certificate authority: %w", err)
	}
	ca := &authority{old.key, []*x509.Certificate{cert}}
	for _, cert := range old.certs {
		if now.Before(cert.NotAfter) {
			ca.certs = append(ca.certs, cert)
		}
	}
	return ca, f.writeCerts(ca)
}

func (f authorityFiles) make(domain string, now time.Time) (*authority, error) {
	ca, err := newAuthority("Acrux "+domain, []string{domain}, now)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(ca.key)
	if err != nil {
		return nil, err
	}
	// The certificate goes first and comes last: without it the pair is made again.
	if err := os.Remove(f.cert); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := secret.WriteFile(f.key, encode("EC PRIVATE KEY", der)); err != nil {
		return nil, err
	}
	return ca, f.writeCerts(ca)
}

func (f authorityFiles) writeCerts(ca *authority) error {
	if err := secret.WriteFile(f.cert, ca.pem()); err != nil {
		return err
	}
	return os.Chmod(f.cert, 0o644)
}

// issue makes a server certificate for the names.
func (a *authority) issue(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert(), &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert().Raw}, PrivateKey: key, Leaf: leaf}, err
}

// certificates hands out the server's certificates and renews them. Names under
// aliases get theirs from an authority that lives in memory only and that nobody but
// this server's own dialer trusts.
type certificates struct {
	files        authorityFiles // of public
	private      *authority
	publicNames  []string
	privateNames []string // of aliases; may be empty

	mu     sync.Mutex
	public *authority
	have   map[*authority]*tls.Certificate
}

// wildcardHosts are the groups of hosts below the domain.
var wildcardHosts = []string{"azurecr", "blob", "vault"}

func publicNames(domain string) []string {
	// The fixed hosts are named one by one: OpenSSL refuses *.localhost.
	names := []string{"management." + domain, "login." + domain, "graph." + domain, "hooks." + domain}
	for _, host := range wildcardHosts {
		names = append(names, "*."+host+"."+domain)
	}
	return names
}

func openCertificates(dir, domain string, aliases []string, now time.Time) (*certificates, error) {
	files := authorityIn(dir)
	public, err := files.open(domain, now)
	if err != nil {
		return nil, err
	}
	c := &certificates{files: files, public: public, publicNames: publicNames(domain), have: map[*authority]*tls.Certificate{}}
	c.privateNames = aliases
	if len(aliases) > 0 {
		c.private, err = newAuthority("Acrux aliases", aliases, now)
	}
	return c, err
}

// get implements tls.Config.GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ca, names := c.public, c.publicNames
	if slices.Contains(c.privateNames, strings.ToLower(hello.ServerName)) {
		ca, names = c.private, c.privateNames
	}
	now := time.Now()
	if cert := c.have[ca]; cert != nil && now.Before(cert.Leaf.NotAfter.Add(-renewAt)) {
		return cert, nil
	}
	cert, err := ca.issue(names, now)
	if err == nil {
		c.have[ca] = cert
	}
	return cert, err
}

// renew renews the authority if it ends soon, and returns the first end of one of its
// certificates, each of which somebody may trust.
func (c *certificates) renew(now time.Time) (ends time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	renewed, err := c.files.renewed(c.public, now)
	if err != nil {
		return ends, err
	}
	if renewed != c.public {
		c.public, c.have = renewed, map[*authority]*tls.Certificate{}
	}
	for i, cert := range c.public.certs {
		if now.Before(cert.NotAfter) && (i == 0 || cert.NotAfter.Before(ends)) {
			ends = cert.NotAfter
		}
	}
	return ends, nil
}

// ownLife is longer than a process lives.
const ownLife = 10 * caLife

// roots are what the server's own dialer trusts: the system's authorities, the
// installation's, and that of the aliases. For the installation's there is a certificate
// that nobody else sees and that outlives its renewals.
func (c *certificates) roots(now time.Time) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without authorities still has ours
	}
	own, err := c.public.next(now, ownLife)
	if err != nil {
		return nil, err
	}
	pool.AddCert(own)
	if c.private != nil {
		pool.AddCert(c.private.cert())
	}
	return pool, nil
}

// publicPEM is the installation's authority.
func (c *certificates) publicPEM() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.public.pem()
}

// trusted is what steps are to trust: the installation's authority, and that of the aliases,
// which they reach as well.
func (c *certificates) trusted() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.public.pem()
	if c.private != nil {
		text = append(text, c.private.pem()...)
	}
	return text
}

// renewEvery is how often the authority is looked at, and tellEvery how often the server's
// operator is told of its end.
const (
	renewEvery = time.Hour
	tellEvery  = 7 * 24 * time.Hour
)

// renewer is the duty that renews the authority in time.
type renewer struct {
	certs *certificates
	log   *slog.Logger
}

// Run implements duty.
func (r renewer) Run(ctx context.Context) error {
	var told time.Time
	for {
		now := time.Now()
		ends, err := r.certs.renew(now)
		switch {
		case err != nil:
			r.log.Error("the certificate authority ends soon and cannot be renewed", "err", err)
		case ends.Sub(now) < caRenewAt && now.Sub(told) > tellEvery:
			r.log.Warn("a certificate of the authority ends; its successor is beside it in the file: give that to "+
				"all who trust a copy of the old one", "ends", ends, "file", r.certs.files.cert, "hint", "acrux env")
			told = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(renewEvery):
		}
	}
}

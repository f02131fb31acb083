package daemon

import (
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
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/access/secret"
)

// authority signs the server's certificates. Users trust it, so it is constrained
// to the installation's domain: who steals its key cannot pose as anybody else.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 397 * 24 * time.Hour // what clients accept at most
	renewAt  = 30 * 24 * time.Hour
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
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: domains}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// openAuthority reads the installation's authority, or makes it the first time, when
// the domain has changed, or when its time is over.
func openAuthority(dir, domain string, now time.Time) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!permits(pair.Leaf, domain) || now.After(pair.Leaf.NotAfter)) {
		return makeAuthority(certFile, keyFile, domain, now)
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate authority %s and its key: %w; put them back from a copy, or remove both, and the next start makes others", certFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key in %s is not an ECDSA key", keyFile)
	}
	return &authority{cert: pair.Leaf, key: key, pem: encode("CERTIFICATE", pair.Certificate[0])}, nil
}

func permits(cert *x509.Certificate, domain string) bool {
	return len(cert.PermittedDNSDomains) == 1 && cert.PermittedDNSDomains[0] == domain
}

func makeAuthority(certFile, keyFile, domain string, now time.Time) (*authority, error) {
	ca, err := newAuthority("Acrux "+domain, []string{domain}, now)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(ca.key)
	if err != nil {
		return nil, err
	}
	// The certificate goes first and comes last: without it the pair is made again.
	if err := os.Remove(certFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := secret.WriteFile(keyFile, encode("EC PRIVATE KEY", der)); err != nil {
		return nil, err
	}
	if err := secret.WriteFile(certFile, ca.pem); err != nil {
		return nil, err
	}
	return ca, os.Chmod(certFile, 0o644)
}

// issue makes a server certificate for the names.
func (a *authority) issue(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

// certificates hands out the server's certificates and renews them. Names under
// aliases get theirs from an authority that lives in memory only and that nobody but
// this server's own dialer trusts.
type certificates struct {
	public, private *authority
	publicNames     []string
	privateNames    []string // of aliases; may be empty

	mu   sync.Mutex
	have map[*authority]*tls.Certificate
}

// wildcardHosts are the groups of hosts below the domain.
var wildcardHosts = []string{"azurecr", "blob", "vault"}

func publicNames(domain string) []string {
	// The fixed hosts are named one by one: OpenSSL refuses *.localhost.
	names := []string{"management." + domain, "login." + domain, "graph." + domain}
	for _, host := range wildcardHosts {
		names = append(names, "*."+host+"."+domain)
	}
	return names
}

func openCertificates(dir, domain string, aliases []string, now time.Time) (*certificates, error) {
	public, err := openAuthority(dir, domain, now)
	if err != nil {
		return nil, err
	}
	c := &certificates{public: public, publicNames: publicNames(domain), have: map[*authority]*tls.Certificate{}}
	c.privateNames = aliases
	if len(aliases) > 0 {
		c.private, err = newAuthority("Acrux aliases", aliases, now)
	}
	return c, err
}

// get implements tls.Config.GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	ca, names := c.public, c.publicNames
	if slices.Contains(c.privateNames, strings.ToLower(hello.ServerName)) {
		ca, names = c.private, c.privateNames
	}
	c.mu.Lock()
	defer c.mu.Unlock()
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

// roots are what the server's own dialer trusts: the system's authorities, the
// installation's, and that of the aliases.
func (c *certificates) roots() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without authorities still has ours
	}
	pool.AddCert(c.public.cert)
	if c.private != nil {
		pool.AddCert(c.private.cert)
	}
	return pool
}

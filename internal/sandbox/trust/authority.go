package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
)

// Authority is what shall be trusted: certificates, in PEM. The zero value is nothing.
type Authority struct {
	text  []byte
	certs []*x509.Certificate
}

// New reads certificates in PEM. None are nothing to trust.
func New(text []byte) (Authority, error) {
	var a Authority
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Authority{}, fmt.Errorf("reading the certificates of an authority: %w", err)
		}
		a.certs = append(a.certs, cert)
		a.text = append(a.text, encode(cert)...)
	}
	return a, nil
}

func encode(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// Empty reports whether there is nothing to trust.
func (a Authority) Empty() bool { return len(a.certs) == 0 }

// usualBundles are where systems and programs look for all authorities in one file.
var usualBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL, Azure Linux
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // the file behind it
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/var/lib/ca-certificates/ca-bundle.pem",
	"/etc/ssl/cert.pem", // Alpine, LibreSSL
	"/opt/conda/ssl/cacert.pem",
}

// single are the directories in which OpenSSL and Go look for certificates one by one.
var single = []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}

// Variables by which programs are told of a bundle, and one by which Node is of more
// authorities than its own.
const (
	opensslFile  = "SSL_CERT_FILE"
	requestsFile = "REQUESTS_CA_BUNDLE"
	curlFile     = "CURL_CA_BUNDLE"
	nodeFile     = "NODE_EXTRA_CA_CERTS"
)

// bundles are the files that may be bundles for a program with these variables (K=V).
func bundles(environ []string) []string {
	var files []string
	for _, name := range []string{opensslFile, requestsFile, curlFile, nodeFile} {
		if file := value(environ, name); strings.HasPrefix(file, "/") {
			files = append(files, file)
		}
	}
	return append(files, usualBundles...)
}

// value is the last one of a variable.
func value(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			return v
		}
	}
	return ""
}

// added is a bundle with our certificates at its end.
func (a Authority) added(bundle []byte) []byte {
	if len(bundle) > 0 && !bytes.HasSuffix(bundle, []byte("\n")) {
		bundle = append(slices.Clip(bundle), '\n')
	}
	return slices.Concat(bundle, a.text)
}

// taken is a bundle without our certificates, and whether they were in it.
func (a Authority) taken(bundle []byte) ([]byte, bool) {
	before, after, found := bytes.Cut(bundle, a.text)
	return slices.Concat(before, after), found
}

// isBundle reports whether a file has certificates as text. Some programs are told of
// directories or of stores by the same variables.
func isBundle(content []byte) bool { return bytes.Contains(content, []byte("-----BEGIN ")) }

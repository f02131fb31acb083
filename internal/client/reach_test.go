package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// quiet is for a server whose clients break off.
func quiet(t *testing.T) *log.Logger { return log.New(t.Output(), "", 0) }

// certificate is one of its own authority.
func certificate(t *testing.T, name string, ends time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: ends.Add(-48 * time.Hour), NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// What is wrong between a client and its server is told as that, with what mends it.
func TestReach(t *testing.T) {
	later := time.Now().Add(time.Hour)
	good, ca := certificate(t, host, later)
	_, otherCA := certificate(t, host, later)
	foreign, foreignCA := certificate(t, "other.example", later)
	old, oldCA := certificate(t, host, time.Now().Add(-time.Hour))
	young, youngCA := certificate(t, host, time.Now().Add(96*time.Hour))
	broken := filepath.Join(t.TempDir(), "broken")
	write(t, broken, "nothing")
	tests := []struct {
		name, scheme string
		served       *tls.Certificate // nil is a server without TLS
		bundle, want string
	}{
		{"another authority", "https", &good, otherCA, "ServerNotTrusted: the authority of the server example.com at 127.0.0.1"},
		{"no bundle", "https", &good, "", "CA_BUNDLE is not set"},
		{"another name", "https", &foreign, foreignCA, "is for other.example, and not for example.com"},
		{"over", "https", &old, oldCA, "is for the time from"},
		{"yet to come", "https", &young, youngCA, "is for the time from"},
		{"plain where TLS is expected", "https", nil, ca, "NoTLS: what answers for example.com at 127.0.0.1"},
		{"TLS where plain is expected", "http", &good, ca, "TLSNeeded: example.com speaks TLS"},
		{"no certificate", "https", &good, broken, "holds no certificate"},
		{"no file", "https", &good, broken + "x", "CA_BUNDLE cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ts := httptest.NewUnstartedServer(http.NotFoundHandler())
			if ts.Config.ErrorLog = quiet(t); tt.served == nil {
				ts.Start()
			} else {
				ts.TLS = &tls.Config{Certificates: []tls.Certificate{*tt.served}}
				ts.StartTLS()
			}
			defer ts.Close()
			base := tt.scheme + "://" + host
			ask := func(elsewhere bool) *problem.Error {
				c, err := New(Profile{Management: base, Authority: base + "/adfs", Address: ts.Listener.Addr().String(),
					Elsewhere: elsewhere, CABundle: tt.bundle, ClientID: "me", Secret: secret.New("opensesame")}, "")
				if err == nil {
					_, err = c.Do(t.Context(), "GET", "/x", "2020-01-01", nil, nil)
				}
				return problem.From(err)
			}
			if hints := strings.Join(ask(true).Hints, " "); strings.Contains(hints, "acrux env") {
				t.Errorf("where there is no data directory: %s", hints)
			}
			p := ask(false)
			if !strings.Contains(p.Error(), tt.want) || len(p.Hints) == 0 {
				t.Errorf("%v %q", p, p.Hints)
			}
			if strings.Contains(p.Error(), "x509") || strings.Contains(p.Error(), "tls:") {
				t.Errorf("raw: %v", p)
			}
		})
	}
}

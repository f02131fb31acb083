package client_test

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
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// signed makes a certificate for names, or an authority without any.
func signed(t *testing.T, by *pair, names ...string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: fmt.Sprint(names)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: names,
		IsCA: len(names) == 0, BasicConstraintsValid: true}
	p := pair{template, key}
	if by == nil {
		by = &p
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	p.cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p pair) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
}

// known serves a document with a leaf and what it shows after it.
func known(t *testing.T, leaf pair, shown []pair, document string) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/acrux" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, document)
	}))
	chain := [][]byte{leaf.cert.Raw}
	for _, p := range shown {
		chain = append(chain, p.cert.Raw)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: leaf.key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://")
}

const document = `{"management":"https://management.a.test:8443","authority":"https://login.a.test:8443/adfs",` +
	`"graph":"https://graph.a.test:8443","tenantId":"T","subscriptionId":"S","ca":%q}`

// Who has the fingerprint of a server's authority finds the server, and nobody who poses as it.
func TestDiscover(t *testing.T) {
	ca, other := signed(t, nil), signed(t, nil)
	names := []string{"management.a.test", "login.a.test", "graph.a.test"}
	leaf := signed(t, &ca, names...)
	want, err := client.Fingerprint([]byte(ca.pem()))
	if err != nil {
		t.Fatal(err)
	}
	trust := func(shown string) error {
		if shown != want {
			return problem.New(problem.Denied, "OtherAuthority", "%s", shown)
		}
		return nil
	}
	good := known(t, leaf, []pair{ca}, fmt.Sprintf(document, ca.pem()+other.pem()))
	for _, server := range []string{good, "https://" + good, "https://" + good + "/"} {
		found, err := client.Discover(t.Context(), server, true, trust)
		if err != nil {
			t.Fatal(server, err)
		}
		p := found.Profile
		if string(found.CA) != ca.pem() || p.Management != "https://management.a.test:8443" || p.Address != good || p.Tenant != "T" || p.Subscription != "S" {
			t.Errorf("%s: %+v, with an authority that nobody looked at: %v", server, p, string(found.CA) != ca.pem())
		}
	}
	said := fmt.Sprintf(document, ca.pem())
	for name, test := range map[string]struct{ server, code string }{
		"another authority":           {known(t, signed(t, &other, names...), []pair{other}, fmt.Sprintf(document, ca.pem())), "OtherAuthority"},
		"its authority, shown only":   {known(t, signed(t, &other, names...), []pair{ca}, said), "OtherAuthority"},
		"its certificate, shown only": {known(t, pair{leaf.cert, other.key}, []pair{ca}, said), "NoHandshake"},
		"no authority":                {known(t, leaf, nil, fmt.Sprintf(document, ca.pem())), "UnknownAuthority"},
		"names of others":             {known(t, leaf, []pair{ca}, strings.ReplaceAll(fmt.Sprintf(document, ca.pem()), "login.a.test", "login.b.test")), ""},
		"a name of another protocol":  {known(t, leaf, []pair{ca}, strings.ReplaceAll(fmt.Sprintf(document, ca.pem()), "https://graph", "http://graph")), ""},
		"something that is not Acrux": {known(t, leaf, []pair{ca}, "hello"), "NoServer"},
		"something that says nothing": {known(t, leaf, []pair{ca}, "{}"), "NoServer"},
		"no address":                  {"https://", "InvalidArgument"},
		"a path":                      {good + "/v2", "InvalidArgument"},
		"nobody":                      {"127.0.0.1:1", "ServerUnreachable"},
		"a server that speaks no TLS": {plain(t), "NoTLS"},
		"what is not even an address": {"a b", "InvalidArgument"},
		"no port":                     {"a.test:99999", "InvalidArgument"},
		"words of a shell":            {"a.test;id:1", "InvalidArgument"},
		"a server with a name in it":  {"https://x@" + good, "InvalidArgument"},
	} {
		found, err := client.Discover(t.Context(), test.server, true, trust)
		var p *problem.Error
		if err == nil || errors.As(err, &p) && p.Code != test.code || p == nil && test.code != "" {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

// Without a fingerprint somebody is asked who can compare it, and a no is the end of it.
func TestDiscoverAsks(t *testing.T) {
	ca := signed(t, nil)
	server := known(t, signed(t, &ca, "management.a.test", "login.a.test", "graph.a.test"), []pair{ca}, fmt.Sprintf(document, ca.pem()))
	asked, no := "", errors.New("no")
	_, err := client.Discover(t.Context(), server, false, func(shown string) error { asked = shown; return no })
	want, _ := client.Fingerprint([]byte(ca.pem()))
	if !errors.Is(err, no) || asked != want {
		t.Errorf("asked about %q: %v", asked, err)
	}
}

func plain(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

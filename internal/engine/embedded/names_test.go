//go:build linux && cgo

package embedded

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// ownRegistry is a registry with TLS that is known by names of the installation.
func ownRegistry(t *testing.T, names ...string) (*egress.Dialer, *httptest.Server) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, name := range names {
		host, _, _ := strings.Cut(name, ":")
		hosts = append(hosts, host)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: hosts, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	own := map[string]bool{}
	for _, name := range names {
		own[name] = true
		if !strings.Contains(name, ":") {
			own[name+":443"] = true
		}
	}
	return &egress.Dialer{
		Policy:  egress.Policy{Loopback: true},
		RootCAs: roots,
		Own:     func(host string) (string, bool) { return server.Listener.Addr().String(), own[host] },
	}, server
}

func TestOwnNamesAndPorts(t *testing.T) {
	needRoot(t)
	withPort, alias := "mybaseregistry.azurecr.acrux.localhost:8443", "mybaseregistry.azurecr.io"
	dialer, _ := ownRegistry(t, withPort, alias)
	ref, err := name.ParseReference(withPort + "/baseimages/busybox:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, enginetest.Busybox(t), remote.WithTransport(dialer.Transport())); err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), Options{Root: t.TempDir(), Dialer: dialer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s := openScope(t, e, "run1").(*Scope)
	for _, host := range []string{withPort, alias} {
		var out bytes.Buffer
		dockerfile := s.spec.Workspace + "/Dockerfile"
		if err := os.WriteFile(dockerfile, []byte("FROM "+host+"/baseimages/busybox:1\nRUN echo "+host+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		tag := host + "/hello-world:1"
		built, err := s.Build(t.Context(), engine.Build{ContextDir: s.spec.Workspace, Dockerfile: dockerfile, Tags: []string{tag}}, &out)
		if err != nil || !built.OK || built.Bases[0].Reference != host+"/baseimages/busybox:1" {
			t.Fatalf("result %+v, error %v\n%s", built, err, out.String())
		}
		if pushed, err := s.Push(t.Context(), tag, &out); err != nil || !pushed.OK {
			t.Fatalf("result %+v, error %v\n%s", pushed, err, out.String())
		}
		if pulled, err := s.Pull(t.Context(), tag, &out); err != nil || pulled.Digest != built.Digest {
			t.Fatalf("result %+v, error %v\n%s", pulled, err, out.String())
		}
		if result, err := s.Command(t.Context(), engine.Command{Image: tag, Args: []string{"true"}}, &out); err != nil || result.ExitCode != 0 {
			t.Fatalf("result %+v, error %v\n%s", result, err, out.String())
		}
	}
}

// A mirror stands in for Docker Hub when pulling, and is never pushed to.
func TestMirror(t *testing.T) {
	needRoot(t)
	mirror := enginetest.NewRegistry(t, "")
	mirror.Push(t, "hub/library/busybox:1", enginetest.Busybox(t))
	dialer := loopback()
	dialer.Mirrors = map[string]url.URL{"docker.io": {Scheme: "http", Host: mirror.Host, Path: "/hub"}}
	// Docker Hub itself leads nowhere: nothing leaves the machine.
	hub := httptest.NewServer(http.NotFoundHandler())
	hub.Close()
	dialer.Own = func(host string) (string, bool) {
		return hub.Listener.Addr().String(), strings.HasPrefix(host, "registry-1.docker.io")
	}
	e, err := Open(t.Context(), Options{Root: t.TempDir(), Dialer: dialer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s := openScope(t, e, "run1").(*Scope)
	var out bytes.Buffer
	if result, err := s.Command(t.Context(), engine.Command{Image: "busybox:1", Args: []string{"true"}}, &out); err != nil || result.ExitCode != 0 {
		t.Fatalf("result %+v, error %v\n%s", result, err, out.String())
	}
	dockerfile := s.spec.Workspace + "/Dockerfile"
	if err := os.WriteFile(dockerfile, []byte("FROM busybox:1\nRUN true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	built, err := s.Build(t.Context(), engine.Build{ContextDir: s.spec.Workspace, Dockerfile: dockerfile, Tags: []string{"busybox:2"}}, &out)
	if err != nil || !built.OK || built.Bases[0].Reference != "busybox:1" {
		t.Fatalf("result %+v, error %v\n%s", built, err, out.String())
	}
	if pushed, err := s.Push(t.Context(), "busybox:2", &out); err != nil || pushed.OK {
		t.Fatalf("result %+v, error %v\n%s", pushed, err, out.String())
	}
}

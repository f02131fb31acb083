package daemon_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/secret"
)

// A user who is made on the machine of a server signs in at once, whether it was running
// or not.
func TestCreateUser(t *testing.T) {
	data := t.TempDir()
	config := kept(t, daemon.Config{Data: data, Executor: &enginetest.Fake{}})
	ada := daemon.NewUser{Name: "Ada@acrux.localhost", DisplayName: "Ada", Password: secret.New("correct horse")}
	if _, err := daemon.CreateUser(t.Context(), config, ada); !problem.Is(err, problem.NotFound) {
		t.Errorf("without a server: %v", err)
	}
	p, stop := start(t, config)
	if _, err := daemon.CreateUser(t.Context(), config, ada); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]daemon.NewUser{
		"again":            ada,
		"a short password": {Name: "x@y", Password: secret.New("x")},
		"no name":          {Password: ada.Password},
		"no domain":        {Name: "x", Password: ada.Password},
	} {
		_, err := daemon.CreateUser(t.Context(), config, bad)
		var told *problem.Error
		if !errors.As(err, &told) || strings.Contains(err.Error(), "correct horse") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := login(t, p, "ada@acrux.localhost"); got != 200 {
		t.Errorf("signing in: %d", got)
	}
	stop()
	root := ada
	root.Name, root.Owner = "root@acrux.localhost", true
	if _, err := daemon.CreateUser(t.Context(), config, root); err != nil {
		t.Fatal(err)
	}
	p, _ = start(t, config)
	if got := login(t, p, "root@acrux.localhost"); got != 200 {
		t.Errorf("signing in: %d", got)
	}
}

// login signs a user in and returns the status.
func login(t *testing.T, p daemon.Published, name string) int {
	t.Helper()
	res, err := browser(t, p).PostForm(p.URL("login")+"/adfs/oauth2/token", url.Values{"grant_type": {"password"}, "client_id": {"04b07795-8ddb-461a-bbee-02f9e1bf7b46"},
		"username": {name}, "password": {"correct horse"}, "scope": {p.URL("management") + "/.default"}})
	must(t, err)
	defer res.Body.Close()
	return res.StatusCode
}

// browser is a client that finds the server without DNS.
func browser(t *testing.T, p daemon.Published) *http.Client {
	t.Helper()
	bundle, err := os.ReadFile(p.CABundle)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.Address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

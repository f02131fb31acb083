package door_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/test/fixture"
)

// world is a server with an administrator and two groups with registries: "g1" with
// "firstreg" and "secondreg", and "g2" with "otherreg".
type world struct {
	*fixture.Server
	client *http.Client // reaches the server under all its names
	admin  *person
}

const (
	group1 = "g1"
	group2 = "g2"
	first  = "firstreg"
	second = "secondreg"
	other  = "otherreg"
)

// shared returns the server that most tests share: at debug level, and what callers name
// may be on loopback.
func shared(t *testing.T) *world {
	t.Helper()
	return theWorld(t, "shared", "logLevel: debug\nagent: {stepNetwork: none, slots: 4}\n")
}

// theWorld returns the server of a name, which is started when it is first asked for.
func theWorld(t *testing.T, name, config string) *world {
	t.Helper()
	enginetest.WholeServers(t)
	worlds.Lock()
	defer worlds.Unlock()
	if w := worlds.all[name]; w != nil {
		return w
	}
	w, err := start(name, config+"registryMirrors: {docker.io: \"http://"+upstream(t)+"\"}\n")
	must(t, err)
	worlds.all[name] = w
	w.furnish(t)
	return w
}

var upstreamHost string

// upstream is a registry that serves until the program ends.
func upstream(t *testing.T) string {
	t.Helper()
	if upstreamHost == "" {
		server := httptest.NewServer(fixture.Upstream())
		image, err := fixture.BusyboxImage()
		must(t, err)
		upstreamHost = strings.TrimPrefix(server.URL, "http://")
		must(t, fixture.Push(upstreamHost, "library/node:15-alpine", image))
	}
	return upstreamHost
}

func start(name, config string) (*world, error) {
	dir, err := os.MkdirTemp("", "acrux-door-")
	if err != nil {
		return nil, err
	}
	environ := append(os.Environ(), asProgram+"=1", "ACRUX_CONFIG_DIR="+filepath.Join(dir, "client"))
	server, err := fixture.StartServer(program(), filepath.Join(dir, "data"), config, environ)
	if err != nil {
		return nil, fmt.Errorf("the server '%s': %w", name, err)
	}
	w := &world{Server: server}
	w.client, err = w.clientFrom("")
	return w, err
}

// program is this one, by a name that holds in every directory.
func program() string {
	path, err := os.Executable()
	if err != nil {
		panic(err) // Linux has /proc
	}
	return path
}

// tlsConfig trusts the server's authority.
func (w *world) tlsConfig() (*tls.Config, error) {
	return fixture.Trusting(w.Published.CABundle)
}

// clientFrom is a client with an address of its own, of loopback; "" is any.
func (w *world) clientFrom(address string) (*http.Client, error) {
	config, err := w.tlsConfig()
	dialer := &net.Dialer{}
	if address != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(address)}
	}
	transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 8,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", w.Published.Address)
		}}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, CheckRedirect: stay}, err
}

// furnish signs the administrator in and makes groups, registries and images.
func (w *world) furnish(t *testing.T) {
	t.Helper()
	w.admin = &person{w: w, clientID: w.Admin.ClientID, secret: w.Admin.Secret}
	for _, group := range []string{group1, group2} {
		w.arm(t, w.admin, "PUT", w.group(group), `{"location":"eastus"}`).ok(t)
	}
	for name, group := range map[string]string{first: group1, second: group1, other: group2} {
		w.newRegistry(t, group, name)
		w.push(t, name, "app", "1")
		w.push(t, name, "hidden", "1")
	}
}

func (w *world) newRegistry(t *testing.T, group, name string) {
	t.Helper()
	w.arm(t, w.admin, "PUT", w.registry(group, name), `{"location":"eastus","sku":{"name":"Standard"}}`).ok(t)
}

func (w *world) subscription() string { return "/subscriptions/" + w.Published.SubscriptionID }

func (w *world) group(name string) string { return w.subscription() + "/resourceGroups/" + name }

func (w *world) registry(group, name string) string {
	return w.group(group) + "/providers/Microsoft.ContainerRegistry/registries/" + name
}

// login is the host of a registry.
func (w *world) login(registry string) string { return registry + ".azurecr." + w.Published.Suffix() }

// at is a URL at the host of a registry.
func (w *world) at(registry, path string) string { return "https://" + w.login(registry) + path }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

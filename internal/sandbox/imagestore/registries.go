package imagestore

import (
	"context"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/secret"
	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// Registries knows how registries are reached. All runs share its connections; it
// holds no credentials. It is safe for concurrent use.
type Registries struct {
	dialer  *egress.Dialer
	client  *http.Client
	mirrors *http.Client // of mirrors alone
}

// NewRegistries returns registries that are dialed through dialer and nothing else.
func NewRegistries(dialer *egress.Dialer) *Registries {
	return &Registries{
		dialer: dialer, client: &http.Client{Transport: dialer.Transport()},
		mirrors: &http.Client{Transport: dialer.MirrorTransport()},
	}
}

// Close ends idle connections.
func (r *Registries) Close() {
	r.client.CloseIdleConnections()
	r.mirrors.CloseIdleConnections()
}

// Client is the HTTP client that registries are asked with.
func (r *Registries) Client() *http.Client { return r.client }

// Hosts tells containerd where the images of a registry host are: at its mirror if
// it has one, where they are only read, and else at the registry itself. What a mirror
// does not have is nowhere: in a closed network nobody else is to be asked. The authorizer
// may be nil.
func (r *Registries) Hosts(authorizer docker.Authorizer) docker.RegistryHosts {
	const reading = docker.HostCapabilityPull | docker.HostCapabilityResolve
	return func(host string) ([]docker.RegistryHost, error) {
		var hosts []docker.RegistryHost
		itself := reading | docker.HostCapabilityPush
		if mirror, ok := r.dialer.Mirror(host); ok {
			hosts = append(hosts, docker.RegistryHost{
				Client: r.mirrors, Authorizer: authorizer,
				Host: mirror.Host, Scheme: mirror.Scheme, Path: path.Join("/v2", mirror.Path),
				Capabilities: reading,
			})
			itself = docker.HostCapabilityPush
		}
		scheme := "https"
		if r.dialer.PlainHTTP(host) {
			scheme = "http"
		}
		address := host
		if egress.CanonicalHost(host) == "docker.io" {
			address = "registry-1.docker.io"
		}
		return append(hosts, docker.RegistryHost{
			Client: r.client, Authorizer: authorizer,
			Host: address, Scheme: scheme, Path: "/v2", Capabilities: itself,
		}), nil
	}
}

// Login gives a user name and a password for a registry host, if there are any.
type Login func(host string) (user string, password secret.String, ok bool)

// refreshTokenUser is the user name that says the password is a refresh token.
const refreshTokenUser = "00000000-0000-0000-0000-000000000000"

// Credentials answers in containerd's and BuildKit's terms: a password without a user
// is a refresh token, nothing at all is an anonymous request.
func (l Login) Credentials(host string) (user, password string, err error) {
	user, pass, ok := l.find(host)
	if !ok {
		return "", "", nil
	}
	if strings.EqualFold(user, refreshTokenUser) {
		user = ""
	}
	return user, pass.Reveal(), nil
}

func (l Login) find(host string) (string, secret.String, bool) {
	user, pass, ok := l(host)
	if !ok {
		user, pass, ok = l(egress.CanonicalHost(host))
	}
	return user, pass, ok
}

func (r *Registries) authorizer(login Login) docker.Authorizer {
	return &oneByOne{Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(r.client), docker.WithAuthCreds(login.Credentials))}
}

// oneByOne lets one request at a time ask for its authorization. containerd's own
// authorizer looks at a token's expiry while another request is still fetching the
// token, without any synchronization.
type oneByOne struct {
	docker.Authorizer
	mu sync.Mutex
}

// Authorize implements docker.Authorizer.
func (o *oneByOne) Authorize(ctx context.Context, req *http.Request) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Authorizer.Authorize(ctx, req)
}

package imagestore

import (
	"context"
	"net/http"
	"path"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
)

// Registries knows how registries are reached. All runs share its connections; it
// holds no credentials. It is safe for concurrent use.
type Registries struct{ *registryclient.Client }

// NewRegistries returns registries that are dialed through dialer and nothing else.
func NewRegistries(dialer *egress.Dialer) *Registries {
	return &Registries{registryclient.New(dialer, "acrux")}
}

// Hosts tells containerd where the images of a registry host are: at its mirror if
// it has one, where they are only read, and else at the registry itself. What a mirror
// does not have is nowhere: in a closed network nobody else is to be asked. The authorizer
// may be nil.
func (r *Registries) Hosts(authorizer docker.Authorizer) docker.RegistryHosts {
	const reading = docker.HostCapabilityPull | docker.HostCapabilityResolve
	return func(host string) ([]docker.RegistryHost, error) {
		at := func(p registryclient.Place, can docker.HostCapabilities) docker.RegistryHost {
			return docker.RegistryHost{Client: r.HTTP(p), Authorizer: authorizer,
				Host: p.Host, Scheme: p.Scheme, Path: path.Join("/v2", p.Path), Capabilities: can}
		}
		place := r.Reading(host)
		if !place.Mirror {
			return []docker.RegistryHost{at(place, reading|docker.HostCapabilityPush)}, nil
		}
		return []docker.RegistryHost{at(place, reading), at(r.Itself(host), docker.HostCapabilityPush)}, nil
	}
}

// Login gives a user name and a password for a registry host, if there are any.
type Login func(host string) (user string, password secret.String, ok bool)

// Credentials answers in containerd's and BuildKit's terms: a password without a user
// is a refresh token, nothing at all is an anonymous request.
func (l Login) Credentials(host string) (user, password string, err error) {
	user, pass, ok := l.find(host)
	if !ok {
		return "", "", nil
	}
	if user == oci.RefreshUser {
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
	return &oneByOne{Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(r.HTTP(registryclient.Place{})), docker.WithAuthCreds(login.Credentials))}
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

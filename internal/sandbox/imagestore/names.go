package imagestore

import (
	"context"
	"fmt"
	"net/http"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Tag gives what the run keeps one more name. It counts as the run's own: no registry
// knows the name.
func (r *Run) Tag(ctx context.Context, target ocispec.Descriptor, name reference.Named) error {
	return r.store.record(r.within(ctx), images.Image{Name: r.Name(name), Target: target})
}

// Untag takes a name away. That there is none is no error.
func (r *Run) Untag(ctx context.Context, name reference.Named) error {
	if err := r.store.images.Delete(r.within(ctx), r.Name(name)); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing the name of an image: %w", err)
	}
	return nil
}

// As is the same run with other credentials.
func (r *Run) As(login Login) *Run {
	return &Run{
		store: r.store, registries: r.registries, login: login, domain: r.domain, lease: r.lease,
		hosts:   r.registries.Hosts(r.registries.authorizer(login)),
		sources: map[digest.Digest][]reference.Named{}, layers: map[digest.Digest]ocispec.Descriptor{},
	}
}

// checkedScope is asked for when a login is checked. Whether it is granted says nothing
// about the login: a registry answers who it knows.
const checkedScope = "repository:acrux/login:pull"

// Check asks a registry whether it takes a login, as docker login does. A refusal is a
// *Refusal.
func (r *Registries) Check(ctx context.Context, host string, login Login) error {
	authorizer := r.authorizer(login)
	hosts, err := r.Hosts(authorizer)(host)
	if err != nil {
		return err
	}
	ctx = docker.WithScope(ctx, checkedScope)
	at := hosts[0]
	refused := &Refusal{Image: host, Status: http.StatusUnauthorized, Lines: []string{"unauthorized: the registry " + host + " does not take the user name and password"}}
	for try := range 2 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Scheme+"://"+at.Host+at.Path+"/", nil)
		if err != nil {
			return fmt.Errorf("asking registry %s: %w", host, err)
		}
		if err := authorizer.Authorize(ctx, request); err != nil {
			return refused
		}
		response, err := at.Client.Do(request)
		if err != nil {
			return &transferError{host, err, ""}
		}
		response.Body.Close()
		switch {
		case response.StatusCode == http.StatusOK:
			return nil
		case response.StatusCode != http.StatusUnauthorized || try == 1:
			return refused
		}
		if err := authorizer.AddResponses(ctx, []*http.Response{response}); err != nil {
			return refused
		}
	}
	return refused
}

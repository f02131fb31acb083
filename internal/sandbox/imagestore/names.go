package imagestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
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

// Check asks a registry whether it takes a login, as docker login does. A refusal is a
// *Refusal.
func (r *Registries) Check(ctx context.Context, host, user string, password secret.String) error {
	err := r.Login(ctx, host, user, password)
	var refused *registryclient.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return &Refusal{Refusal: *refused, Image: host, Text: []string{"unauthorized: the registry " + host + " does not take the user name and password"}}
	}
	return &transferError{host, err, ""}
}

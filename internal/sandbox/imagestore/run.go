package imagestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// runDomain ends the domain of every name that belongs to a run.
const runDomain = ".run.local"

// Run is the images of one run. It is safe for concurrent use.
type Run struct {
	store      *Store
	registries *Registries
	login      Login
	domain     string
	lease      leases.Lease
	hosts      docker.RegistryHosts

	mu      sync.Mutex
	sources map[digest.Digest][]reference.Named  // of layers: images that the run was let have
	layers  map[digest.Digest]ocispec.Descriptor // the same layers
}

// OpenRun begins a run. Its id is letters, digits and dashes; the caller closes it.
func (s *Store) OpenRun(ctx context.Context, id string, registries *Registries, login Login) (*Run, error) {
	lease, err := s.leases.Create(within(ctx), leases.WithID("run-"+id), leases.WithLabel(runLabel, id))
	if err != nil {
		return nil, fmt.Errorf("making the lease of a run: %w", err)
	}
	return &Run{
		store: s, registries: registries, login: login, lease: lease,
		domain: "run-" + id + "-0" + runDomain, // neither a dash at an end nor an empty part is a legal name
		hosts:  registries.Hosts(registries.authorizer(login)), sources: map[digest.Digest][]reference.Named{}, layers: map[digest.Digest]ocispec.Descriptor{},
	}, nil
}

// Close forgets the run's names and lets go of what it made. Containers on its
// root file systems must have ended.
func (r *Run) Close(ctx context.Context) error {
	ctx = within(ctx)
	err := r.store.removeNames(ctx, func(name string) bool { return strings.HasPrefix(name, r.domain+"/") })
	if e := r.store.leases.Delete(ctx, r.lease); e != nil && !errdefs.IsNotFound(e) {
		err = errors.Join(err, fmt.Errorf("removing the lease of a run: %w", e))
	}
	return err
}

// within puts ctx into the namespace and under the run's lease: what is made stays
// until the run closes.
func (r *Run) within(ctx context.Context) context.Context {
	return leases.WithLease(within(ctx), r.lease.ID)
}

// Name is the name under which the run keeps the image that it knows as image. It
// says nothing about the image but a hash: a registry's port or a long repository
// would not be legal in it.
func (r *Run) Name(image reference.Named) string {
	sum := sha256.Sum256([]byte(reference.TagNameOnly(image).String()))
	return r.domain + "/" + hex.EncodeToString(sum[:20]) + ":latest"
}

// Parse reads the name of an image as docker does: without a registry it is Docker
// Hub's, without a tag it is latest.
func Parse(image string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil, fmt.Errorf("invalid reference format: %q", image)
	}
	return reference.TagNameOnly(named), nil
}

// Local returns what the run keeps under image.
func (r *Run) Local(ctx context.Context, image reference.Named) (ocispec.Descriptor, bool, error) {
	record, err := r.store.images.Get(r.within(ctx), r.Name(image))
	if errdefs.IsNotFound(err) {
		return ocispec.Descriptor{}, false, nil
	}
	if err != nil {
		return ocispec.Descriptor{}, false, fmt.Errorf("looking up %s: %w", reference.FamiliarString(image), err)
	}
	return record.Target, true, nil
}

// pulledLabel marks names of images that came from a registry.
const pulledLabel = "acrux.pulled"

// set gives a name to a pulled image.
func (s *Store) set(ctx context.Context, name string, target ocispec.Descriptor) error {
	return s.record(ctx, images.Image{Name: name, Target: target, Labels: map[string]string{pulledLabel: "true"}})
}

func (s *Store) record(ctx context.Context, image images.Image) error {
	_, err := s.images.Create(ctx, image)
	if errdefs.IsAlreadyExists(err) {
		_, err = s.images.Update(ctx, image)
	}
	if err != nil {
		return fmt.Errorf("naming an image: %w", err)
	}
	return nil
}

func (r *Run) resolver(tracker docker.StatusTracker) remotes.Resolver {
	return docker.NewResolver(docker.ResolverOptions{Hosts: r.hosts, Tracker: tracker})
}

// Mirrored reports whether an image is read from a mirror of its registry.
func (r *Run) Mirrored(image reference.Named) bool {
	return r.registries.Reading(reference.Domain(image)).Mirror
}

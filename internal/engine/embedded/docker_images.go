//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine/dockerapi"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
	"github.com/acrux/acrux/internal/secret"
)

// know remembers the name of an image that the run has now. The store has hashes only.
func (s *Scope) know(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if named, err := imagestore.Parse(name); err == nil {
			s.known[named.String()] = named
		}
	}
}

// Images implements dockerapi.Engine.
func (e dockerEngine) Images(ctx context.Context) ([]dockerapi.Image, error) {
	e.mu.Lock()
	var names []reference.Named
	for _, named := range e.known {
		names = append(names, named)
	}
	e.mu.Unlock()
	slices.SortFunc(names, func(a, b reference.Named) int { return strings.Compare(a.String(), b.String()) })
	var all []dockerapi.Image
	for _, named := range names {
		image, ok, err := e.images.Read(ctx, named, nil)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, shownImage(named, image))
		}
	}
	return all, nil
}

func shownImage(named reference.Named, image imagestore.Image) dockerapi.Image {
	shown := dockerapi.Image{Name: reference.FamiliarString(named), ID: image.Config.String(), Digest: image.Target.Digest.String(), Config: image.JSON, Complete: image.Complete}
	for _, layer := range image.Layers {
		shown.Size += layer.Size
	}
	return shown
}

// Image implements dockerapi.Engine.
func (e dockerEngine) Image(ctx context.Context, ref string) (dockerapi.Image, error) {
	_, shown, err := e.find(ctx, ref)
	return shown, err
}

// find finds an image by name, or by the beginning of its ID.
func (e dockerEngine) find(ctx context.Context, ref string) (reference.Named, dockerapi.Image, error) {
	if named, err := imagestore.Parse(ref); err == nil {
		image, ok, err := e.images.Read(ctx, named, nil)
		if err != nil {
			return nil, dockerapi.Image{}, err
		}
		if ok {
			return named, shownImage(named, image), nil
		}
	}
	all, err := e.Images(ctx)
	if err != nil {
		return nil, dockerapi.Image{}, err
	}
	for _, image := range all {
		_, id, _ := strings.Cut(image.ID, ":")
		if len(ref) >= 4 && (strings.HasPrefix(id, ref) || strings.HasPrefix(image.ID, ref)) {
			named, err := imagestore.Parse(image.Name)
			return named, image, err
		}
	}
	return nil, dockerapi.Image{}, problem.New(problem.NotFound, "NoSuchImage", "No such image: %s", ref)
}

// Tag implements dockerapi.Engine.
func (e dockerEngine) Tag(ctx context.Context, ref, name string) error {
	named, _, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	to, err := imagestore.Parse(name)
	if err != nil {
		return problem.New(problem.Invalid, "BadName", "invalid reference format: %s", name)
	}
	if _, digested := to.(reference.Digested); digested {
		return problem.New(problem.Invalid, "BadName", "refusing to create a tag with a digest reference")
	}
	target, ok, err := e.images.Local(ctx, named)
	if err != nil || !ok {
		return errors.Join(err, problem.New(problem.NotFound, "NoSuchImage", "No such image: %s", ref))
	}
	if err := e.images.Tag(ctx, target, to); err != nil {
		return err
	}
	e.know(name)
	return nil
}

// Untag implements dockerapi.Engine.
func (e dockerEngine) Untag(ctx context.Context, ref string) error {
	named, _, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	e.mu.Lock()
	delete(e.known, named.String())
	e.mu.Unlock()
	return e.images.Untag(ctx, named)
}

// as is the run's images with a credential of the caller's, or with its own.
func (e dockerEngine) as(login *dockerapi.Login) *imagestore.Run {
	if login == nil {
		return e.images
	}
	return e.images.As(func(string) (string, secret.String, bool) { return login.Username, login.Password, true })
}

// Pull implements dockerapi.Engine.
func (e dockerEngine) Pull(ctx context.Context, name string, login *dockerapi.Login, out io.Writer) (bool, error) {
	result, err := runimages.Pull(ctx, e.as(login), name, out)
	if result.OK {
		e.know(name)
	}
	return result.OK, err
}

// Push implements dockerapi.Engine.
func (e dockerEngine) Push(ctx context.Context, name string, login *dockerapi.Login, out io.Writer) (bool, error) {
	result, err := runimages.Push(ctx, e.as(login), name, out)
	return result.OK, err
}

// Login implements dockerapi.Engine.
func (e dockerEngine) Login(ctx context.Context, host string, login dockerapi.Login) error {
	err := e.executor.registries.Check(ctx, host, login.Username, login.Password)
	if err != nil && imagestore.AtRegistry(err) {
		return problem.New(problem.Unauthenticated, "Refused", "Get \"https://%s/v2/\": %v", host, err)
	}
	return err
}

// Directory implements dockerapi.Engine.
func (e dockerEngine) Directory() (string, func(), error) {
	dir, err := os.MkdirTemp(e.dir, "context")
	if err != nil {
		return "", nil, fmt.Errorf("making a directory for a build: %w", err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			e.executor.log.Warn("the context of a build could not be removed", "error", err) // it goes with the run
		}
	}, nil
}

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/buildkit"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// place is where the run's images are in the engine: under names that say nothing but
// what the image is, in a repository of the run.
type place struct{ *Scope }

var _ buildkit.Place = place{}

// Exporter implements buildkit.Place.
func (p place) Exporter() string { return p.executor.exporter }

// NewName implements buildkit.Place.
func (p place) NewName() string { return p.names.newImage() }

// Offer implements buildkit.Place. An image that the engine has is not loaded again.
// Either way the run must have the layers themselves: whoever can push an image that
// claims to consist of another's layers would otherwise be given those by the engine.
func (p place) Offer(ctx context.Context, name reference.Named, image imagestore.Image) (string, error) {
	p.offering.Lock()
	defer p.offering.Unlock()
	known := p.names.image(image.Config)
	engine := p.executor.engine
	if _, err := engine.ImageInspect(ctx, known); err == nil {
		return known, nil
	} else if !errdefs.IsNotFound(err) {
		return "", fmt.Errorf("looking for %s in the Docker Engine: %w", reference.FamiliarString(name), err)
	}
	if err := p.images.Verify(ctx, name, image); err != nil {
		return "", err
	}
	if _, err := engine.ImageTag(ctx, client.ImageTagOptions{Source: image.Config.String(), Target: known}); err == nil {
		return known, nil
	} else if !errdefs.IsNotFound(err) {
		return "", fmt.Errorf("naming %s in the Docker Engine: %w", reference.FamiliarString(name), err)
	}
	if err := p.load(ctx, image, known); err != nil {
		return "", fmt.Errorf("loading %s into the Docker Engine: %w", reference.FamiliarString(name), err)
	}
	return known, nil
}

// load sends an image to the engine.
func (p place) load(ctx context.Context, image imagestore.Image, name string) error {
	read, write := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := p.images.Export(ctx, image, name, write)
		write.CloseWithError(err)
		sent <- err
	}()
	err := p.receive(ctx, read)
	read.CloseWithError(errors.New("the engine takes no more"))
	if e := <-sent; err == nil {
		err = e
	}
	return err
}

// receive has the engine read an archive, and waits until it has.
func (p place) receive(ctx context.Context, archive io.Reader) error {
	answer, err := p.executor.engine.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer answer.Close()
	for messages := json.NewDecoder(answer); ; {
		var message struct {
			Error string `json:"error"`
		}
		if err := messages.Decode(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the engine's answer: %w", err)
		}
		switch {
		case strings.Contains(message.Error, "no space left on device"):
			return errors.New(message.Error)
		case message.Error != "": // the archive is ours, so it is a layer of the image
			return daemonError("failed to register layer: %s", message.Error)
		}
	}
}

// Take implements buildkit.Place. An image that was taken before, since the cache had all
// of it, is not taken again.
func (p place) Take(ctx context.Context, name string, tags []reference.Named) (imagestore.Image, error) {
	engine := p.executor.engine
	built, err := engine.ImageInspect(ctx, name)
	if err != nil {
		return imagestore.Image{}, fmt.Errorf("looking at an image that was built: %w", err)
	}
	image, ok, err := p.images.Imported(ctx, digest.Digest(built.ID), tags)
	if err == nil && !ok {
		image, err = p.save(ctx, name, tags)
	}
	if err != nil {
		return imagestore.Image{}, err
	}
	if _, err := engine.ImageTag(ctx, client.ImageTagOptions{Source: name, Target: p.names.image(image.Config)}); err != nil {
		return imagestore.Image{}, fmt.Errorf("naming an image in the Docker Engine: %w", err)
	}
	return image, p.executor.removeImage(ctx, name)
}

// save has the engine send an image.
func (p place) save(ctx context.Context, name string, tags []reference.Named) (imagestore.Image, error) {
	archive, err := p.executor.engine.ImageSave(ctx, []string{name})
	if err != nil {
		return imagestore.Image{}, fmt.Errorf("taking an image out of the Docker Engine: %w", err)
	}
	image, err := p.images.Import(ctx, archive, tags)
	return image, errors.Join(err, archive.Close())
}

// image finds a command's image, pulls it if need be, and has the engine hold it.
func (s *Scope) image(ctx context.Context, c engine.Command, out io.Writer) (string, error) {
	named, err := imagestore.Parse(c.Image)
	if err != nil {
		return "", &runimages.Outcome{Code: 125, Text: "docker: invalid reference format: " + c.Image}
	}
	image, ok, err := s.images.Read(ctx, named, nil)
	if err != nil {
		return "", err
	}
	if !ok {
		image, ok, err = s.executor.machine.Find(ctx, s.images, named, s.spec.OwnRegistry)
		if err != nil {
			return "", runimages.Pulled(dockerSays, err)
		}
		c.Pull = c.Pull && !ok
	}
	if !ok && c.NoPull {
		return "", daemonError("No such image: %s", reference.FamiliarString(named))
	}
	if !ok && !c.Pull {
		fmt.Fprintf(out, "Unable to find image '%s' locally\n", reference.FamiliarString(named))
	}
	if !ok || c.Pull {
		if image, err = s.images.Pull(ctx, named, out); err != nil {
			return "", runimages.Pulled(dockerSays, err)
		}
	}
	name, err := place{s}.Offer(ctx, named, image)
	if err != nil {
		return "", runimages.Pulled(dockerSays, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.anyImage = name
	return name, nil
}

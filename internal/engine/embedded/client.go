//go:build linux && cgo

package embedded

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"

	"github.com/distribution/reference"

	"github.com/acrux/acrux/internal/sandbox/clientimage"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// NoClient is what Options.DockerClient says for no client at all.
const NoClient = "none"

// clientName is the image that this machine's docker client stands for.
const clientName = "docker.io/library/docker:latest"

// client is docker's client of this machine, as an image that is made when it is first
// wanted.
type client struct {
	program string // empty looks for docker

	once  sync.Once
	image *clientimage.Image
	err   error
}

// get returns the image, or nil if there is no client.
func (c *client) get() (*clientimage.Image, error) {
	c.once.Do(func() {
		program := c.program
		if program == NoClient {
			return
		}
		if program == "" {
			var err error
			if program, err = exec.LookPath("docker"); err != nil {
				return // an image like others, then
			}
		}
		c.image, c.err = clientimage.New(program)
	})
	return c.image, c.err
}

// builtIn gives the run the image that this machine has for a name, unless the run has one
// of its own. It asks no registry.
func (s *Scope) builtIn(ctx context.Context, named reference.Named) (image imagestore.Image, ok bool, err error) {
	if named.String() != clientName {
		return imagestore.Image{}, false, nil
	}
	made, err := s.executor.client.get()
	if err != nil || made == nil {
		return imagestore.Image{}, false, err
	}
	names := []reference.Named{named}
	if image, ok, err = s.images.Imported(ctx, made.ID(), names); err != nil || ok {
		return image, ok, err
	}
	read, write := io.Pipe()
	go func() { write.CloseWithError(made.Archive(write)) }()
	image, err = s.images.Import(ctx, read, names)
	read.Close() // the archive is read to its end, or nobody wants it
	if err != nil {
		return imagestore.Image{}, false, fmt.Errorf("making an image of docker's client: %w", err)
	}
	return image, true, nil
}

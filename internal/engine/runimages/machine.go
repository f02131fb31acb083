package runimages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"github.com/distribution/reference"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/sandbox/clientimage"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// NoClient is what Machine.DockerClient says for no client at all.
const NoClient = "none"

// Machine has the images that are made of this machine's programs, each when it is first wanted.
// It is safe for concurrent use.
type Machine struct {
	// DockerClient is the program that the image docker is made of; empty looks for it.
	DockerClient string

	mu   sync.Mutex
	made map[string]*clientimage.Image // by name; nil if the machine lacks the program
}

// dockerClient is the image that the machine's docker client stands for.
const dockerClient = "docker.io/library/docker"

// toolHost is where the originals of the images are that task files know by a short name
// (task-file.md, section 8.2).
const toolHost = "mcr.microsoft.com"

// contents says what an image is made of; ok is false if it is none of this machine's, or the
// machine lacks the program.
func (m *Machine) contents(name string) (c clientimage.Contents, ok bool, err error) {
	of := func(command, program string) (clientimage.Contents, bool, error) {
		return clientimage.Contents{Programs: map[string]string{command: program}, Entrypoint: []string{command}}, true, nil
	}
	switch name {
	case dockerClient:
		if m.DockerClient == "" {
			return installed("docker", of)
		}
		return of("docker", m.DockerClient)
	case toolHost + "/acr/curl":
		return installed("curl", of)
	case toolHost + "/acr/bash":
		return installed("bash", func(command, program string) (clientimage.Contents, bool, error) {
			return clientimage.Contents{Programs: map[string]string{command: program},
				Scripts: map[string]string{"start": startBash}, Entrypoint: []string{"start"}}, true, nil
		})
	case toolHost + "/acr/acr-cli", toolHost + "/acr/azure-cli":
		self, err := os.Executable()
		if err != nil {
			return c, false, fmt.Errorf("looking for this program: %w", err)
		}
		return of(map[string]string{toolHost + "/acr/acr-cli": "acr", toolHost + "/acr/azure-cli": "az"}[name], self)
	}
	return c, false, nil
}

// startBash runs a program, or else takes its arguments for bash's, as the image bash does.
const startBash = `#!/bin/sh
case "$1" in
"" | -*) exec bash "$@" ;;
esac
exec bash -c '"$@"' bash "$@"
`

func installed(command string, of func(command, program string) (clientimage.Contents, bool, error)) (clientimage.Contents, bool, error) {
	program, err := exec.LookPath(command)
	if err != nil {
		return clientimage.Contents{}, false, nil // an image like others, then
	}
	return of(command, program)
}

// image makes an image, once; nil if it is none of this machine's.
func (m *Machine) image(name string) (*clientimage.Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if made, known := m.made[name]; known {
		return made, nil
	}
	c, ok, err := m.contents(name)
	var made *clientimage.Image
	if err == nil && ok {
		made, err = clientimage.New(c)
	}
	if err != nil {
		return nil, err
	}
	if m.made == nil {
		m.made = map[string]*clientimage.Image{}
	}
	m.made[name] = made
	return made, nil
}

// Find gives a run the image that this machine has for a name, under that name. The original of
// a tool wins if the operator has it at a mirror, or somebody imported it into the run's own
// registry under its own name.
func (m *Machine) Find(ctx context.Context, images *imagestore.Run, named reference.Named, ownRegistry string) (image imagestore.Image, ok bool, err error) {
	_, digested := named.(reference.Digested)
	name := named.Name()
	switch {
	case runtime.GOOS != "linux", digested:
		return image, false, nil
	case name == dockerClient && (m.DockerClient == NoClient || reference.TagNameOnly(named).String() != dockerClient+":latest"):
		return image, false, nil
	}
	if reference.Domain(named) == toolHost {
		if image, ok, err = original(ctx, images, named, ownRegistry); ok || err != nil {
			return image, ok, err
		}
	}
	made, err := m.image(name)
	if err != nil || made == nil {
		return image, false, err
	}
	return take(ctx, images, made, named)
}

// Pull is engine.Puller's: what the machine has is pulled from nowhere.
func (m *Machine) Pull(ctx context.Context, images *imagestore.Run, image, ownRegistry string, out io.Writer) (engine.PullResult, error) {
	named, err := imagestore.Parse(image)
	if err != nil {
		return Pull(ctx, images, image, out) // which says so
	}
	own, ok, err := m.Find(ctx, images, named, ownRegistry)
	switch {
	case imagestore.AtRegistry(err):
		_, err = fmt.Fprintln(out, err)
		return engine.PullResult{}, err
	case err != nil:
		return engine.PullResult{}, err
	case !ok:
		return Pull(ctx, images, image, out)
	}
	_, err = fmt.Fprint(out, imagestore.PullStart(named)+imagestore.PullEnd(named, own.Target.Digest, true))
	return engine.PullResult{OK: true, Digest: own.Target.Digest.String()}, err
}

// original finds an image of a tool at a mirror of its registry, or imported.
func original(ctx context.Context, images *imagestore.Run, named reference.Named, ownRegistry string) (image imagestore.Image, ok bool, err error) {
	from := []reference.Named{}
	if images.Mirrored(named) {
		from = append(from, named)
	}
	if imported, err := reference.ParseNamed(ownRegistry + "/" + reference.Path(named)); err == nil && ownRegistry != "" {
		if tagged, isTagged := named.(reference.Tagged); isTagged {
			if imported, err = reference.WithTag(imported, tagged.Tag()); err != nil {
				return image, false, err
			}
		}
		from = append(from, imported)
	}
	for _, place := range from {
		image, err = images.Pull(ctx, place, io.Discard)
		if err == nil {
			return image, true, images.Tag(ctx, image.Target, named)
		}
		var refused *imagestore.Refusal
		if ctx.Err() != nil || !errors.As(err, &refused) || !nothing(refused.Refusal) {
			return image, false, err
		}
	}
	return image, false, nil
}

// nothing reports whether a registry has no such image, or none that the run may see.
func nothing(r registryclient.Refusal) bool {
	return r.Status == http.StatusNotFound || r.Denied()
}

// take keeps an image that was made for a run.
func take(ctx context.Context, images *imagestore.Run, made *clientimage.Image, named reference.Named) (imagestore.Image, bool, error) {
	names := []reference.Named{named}
	if image, ok, err := images.Imported(ctx, made.ID(), names); err != nil || ok {
		return image, ok, err
	}
	read, write := io.Pipe()
	go func() { write.CloseWithError(made.Archive(write)) }()
	image, err := images.Import(ctx, read, names)
	read.Close() // the archive is read to its end, or nobody wants it
	if err != nil {
		return imagestore.Image{}, false, fmt.Errorf("making the image %s: %w", reference.FamiliarString(named), err)
	}
	return image, true, nil
}

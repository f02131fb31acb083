//go:build linux && cgo

package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/dockerapi"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// daemonError is what a docker client prints when a container could not be started. There is
// no daemon here to have said it.
func daemonError(format string, args ...any) error {
	return &runimages.Outcome{Code: 125, Text: dockerSays + fmt.Sprintf(format, args...)}
}

// dockerSays begins what a docker client prints of a container that was not started.
const dockerSays = "docker: "

// noPrivilege is why a privileged step is not run.
const noPrivilege = "privileged containers are not allowed on this agent: they control the machine, and with it every registry and secret of this server\n" +
	"hint: where everybody who may start runs is trusted with that, set agent.privileged: [ID] in acrux.yaml; " +
	"az acr show --name REGISTRY --query id prints the ID"

// privilegeTold is what the log of a run says of a privileged container.
const privilegeTold = "privileged: this container is root of the machine, without user IDs of its own, and has the machine's devices and all capabilities"

// Command implements engine.Scope.
func (s *Scope) Command(ctx context.Context, c engine.Command, out io.Writer) (engine.CommandResult, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return engine.CommandResult{}, err
	}
	defer done()
	if out == nil {
		out = io.Discard
	}
	result, err := s.command(ctx, c, out)
	return runimages.Told(ctx, out, result, err)
}

func (s *Scope) command(ctx context.Context, c engine.Command, out io.Writer) (engine.CommandResult, error) {
	if err := check(c); err != nil {
		return engine.CommandResult{}, err
	}
	if err := s.permit(c); err != nil {
		return engine.CommandResult{}, err
	}
	x := &box{name: c.Name, spec: dockerapi.Spec{Command: c, AutoRemove: !c.Keep}}
	if err := s.take(x); err != nil {
		return engine.CommandResult{}, err
	}
	if c.Detach {
		return s.detach(ctx, x, out)
	}
	b, err := s.prepare(ctx, x, out)
	if err != nil {
		return engine.CommandResult{}, errors.Join(err, b.remove(), s.release(x))
	}
	exit, err := s.attached(ctx, x, b, out)
	if e := s.finish(x, b); err == nil {
		err = e
	}
	return engine.CommandResult{ExitCode: exit.Code, OOMKilled: exit.OOM, ContainerID: x.id}, err
}

// attached runs a container and passes on what it prints, each stream on its own if out
// tells them apart.
func (s *Scope) attached(ctx context.Context, x *box, b *bundle, out io.Writer) (container.Exit, error) {
	stdout, stderr := engine.Streams(out)
	if stdout == stderr {
		return s.run(ctx, x, b, out, out, func() {})
	}
	both, err := newStreams(stdout, stderr)
	if err != nil {
		return container.Exit{}, err
	}
	exit, err := s.run(ctx, x, b, both.stdout, both.stderr, func() {})
	return exit, errors.Join(err, both.close())
}

// prepare finds the image and makes everything but the process. What was made is
// returned also with an error.
func (s *Scope) prepare(ctx context.Context, x *box, out io.Writer) (*bundle, error) {
	b := &bundle{scope: s, box: x, command: x.spec.Command, id: x.id, dir: filepath.Join(s.dir, x.id), lodging: &s.lodging}
	if x.spec.Privileged {
		b.lodging = &lodging{}
		fmt.Fprintln(out, privilegeTold)
	}
	image, err := s.image(ctx, x.spec.Command, out)
	if err != nil {
		return b, err
	}
	return b, b.prepare(ctx, image)
}

// finish takes away what was made for a container that has ended, and the container
// itself unless it is kept.
func (s *Scope) finish(x *box, b *bundle) error {
	err := b.remove()
	if x.spec.AutoRemove {
		err = errors.Join(err, s.release(x))
	}
	return err
}

// detach starts the container and leaves it to the scope.
func (s *Scope) detach(ctx context.Context, x *box, out io.Writer) (engine.CommandResult, error) {
	var err error
	if x.journal, err = newJournal(filepath.Join(s.dir, x.id+".journal")); err != nil {
		return engine.CommandResult{}, errors.Join(err, s.release(x))
	}
	err = s.launch(ctx, x, func() (*bundle, error) { return s.prepare(ctx, x, out) }, func(b *bundle) error { return s.finish(x, b) })
	if err != nil {
		// A container that never started is not kept: its step may be tried again.
		return engine.CommandResult{}, errors.Join(err, s.release(x))
	}
	return engine.CommandResult{ContainerID: x.id}, nil
}

// permit refuses what would give a step more than its own container.
func (s *Scope) permit(c engine.Command) error {
	powers, err := container.Options(c.Options).Powers()
	switch {
	case err != nil:
		return daemonError("%v", err)
	case s.spec.Privileged:
		return nil
	case c.Privileged:
		return daemonError("%s", noPrivilege)
	case len(powers) > 0:
		return daemonError("the capability %s: %s", powers[0], noPrivilege)
	}
	return nil
}

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// check refuses what cannot be done, before anything is.
func check(c engine.Command) error {
	switch {
	case c.Name != "" && !containerName.MatchString(c.Name):
		return daemonError("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed.", c.Name)
	case len(c.Options.Hostname) > 63:
		return daemonError("invalid hostname: %s", c.Options.Hostname)
	case c.WorkingDir != "" && !filepath.IsAbs(c.WorkingDir):
		return daemonError("the working directory '%s' is invalid, it needs to be an absolute path.", c.WorkingDir)
	case c.CPUs < 0:
		return daemonError("range of CPUs is from 0.01 up: %v", c.CPUs)
	case c.Memory < 0:
		return daemonError("Minimum memory limit allowed is 6MB")
	}
	if _, err := engine.ParsePorts(c.Ports); err != nil {
		return &runimages.Outcome{Code: 125, Text: "docker: " + err.Error()}
	}
	if err := c.Options.CheckTmpfs(); err != nil {
		return daemonError("%v", err)
	}
	for _, host := range c.Hosts {
		if name, addr, ok := strings.Cut(host, ":"); !ok || name == "" || addr == "" {
			return &runimages.Outcome{Code: 125, Text: fmt.Sprintf("invalid argument %q for \"--add-host\" flag: bad format for add-host: %q", host, host)}
		}
	}
	return nil
}

// newID is 64 hex digits, as docker has them.
func newID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// image finds the command's image and pulls it if need be.
func (s *Scope) image(ctx context.Context, c engine.Command, out io.Writer) (imagestore.Image, error) {
	named, err := imagestore.Parse(c.Image)
	if err != nil {
		return imagestore.Image{}, &runimages.Outcome{Code: 125, Text: "docker: invalid reference format: " + c.Image}
	}
	image, ok, err := s.images.Read(ctx, named, nil)
	if err != nil || ok && !c.Pull {
		return image, err
	}
	if own, builtIn, err := s.builtIn(ctx, named); err != nil || builtIn {
		return own, runimages.Pulled(dockerSays, err)
	}
	if !ok && c.NoPull {
		return image, daemonError("No such image: %s", reference.FamiliarString(named))
	}
	if !ok && !c.Pull {
		fmt.Fprintf(out, "Unable to find image '%s' locally\n", reference.FamiliarString(named))
	}
	image, err = s.images.Pull(ctx, named, out)
	if err == nil {
		s.know(c.Image)
	}
	return image, runimages.Pulled(dockerSays, err)
}

// builtIn gives the run the image that this machine has for a name.
func (s *Scope) builtIn(ctx context.Context, named reference.Named) (imagestore.Image, bool, error) {
	return s.executor.machine.Find(ctx, s.images, named, s.spec.OwnRegistry)
}

// writeFile writes a small file into the bundle and returns its path.
func (b *bundle) writeFile(name, content string) (string, error) {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return "", fmt.Errorf("preparing a container: %w", err)
	}
	return path, nil
}

// bind is a mount of something of the machine, as the container is to see it.
func (b *bundle) bind(source, target string, options ...string) specs.Mount {
	return specs.Mount{Type: "bind", Source: b.lodging.path(source), Destination: target, Options: append([]string{"rbind"}, options...)}
}

// startError makes an outcome of a container that would not start.
func startError(err error) error {
	var start *container.StartError
	if errors.As(err, &start) {
		return &runimages.Outcome{Code: start.Code, Text: "docker: failed to create task for container: " + err.Error()}
	}
	return err
}

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/moby/moby/client"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/runimages"
)

// daemonError is what a docker client prints when the daemon could not start a
// container.
func daemonError(format string, args ...any) error {
	return &runimages.Outcome{Code: 125, Text: dockerSays + fmt.Sprintf(format, args...)}
}

// dockerSays begins what a docker client prints of a container that was not started.
const dockerSays = "docker: " + daemonPrefix

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
	s.note(out)
	result, err := s.command(ctx, c, out)
	return runimages.Told(ctx, out, result, err)
}

// identities is what the handler of a run's identities may tell.
type identities interface{ HasIdentities() bool }

// note says once what the run's steps go without, if they could have it elsewhere. The
// machine's side of a network of the engine is reached from all of its networks, so an
// endpoint there would be everybody's.
func (s *Scope) note(out io.Writer) {
	if given, ok := s.spec.Identity.(identities); s.spec.Identity == nil || ok && !given.HasIdentities() {
		return
	}
	s.noted.Do(func() {
		fmt.Fprintln(out, "note: on a Docker Engine steps have no endpoint for the task's identities (169.254.169.254); the run's own registry credentials are not affected")
	})
}

func (s *Scope) command(ctx context.Context, c engine.Command, out io.Writer) (engine.CommandResult, error) {
	if err := s.check(c); err != nil {
		return engine.CommandResult{}, err
	}
	image, err := s.image(ctx, c, out)
	if err != nil {
		return engine.CommandResult{}, err
	}
	options, err := s.containerOptions(ctx, c, image)
	if err != nil {
		return engine.CommandResult{}, s.outcome(err)
	}
	created, err := s.executor.engine.ContainerCreate(ctx, options)
	if err != nil {
		return engine.CommandResult{}, s.outcome(err)
	}
	p := &process{scope: s, id: created.ID, command: c}
	if c.Detach {
		err := p.detach(ctx)
		return engine.CommandResult{ContainerID: p.id}, err
	}
	result, err := p.run(ctx, out)
	return result, errors.Join(err, p.remove(err))
}

// outcome makes an outcome of what the engine refuses. That it cannot be reached is none.
func (s *Scope) outcome(err error) error {
	var no *runimages.Outcome
	if err == nil || errors.As(err, &no) || client.IsErrConnectionFailed(err) {
		return err
	}
	text := s.names.human(err.Error())
	if i := strings.Index(text, daemonPrefix); i >= 0 {
		text = text[i+len(daemonPrefix):]
	}
	return daemonError("%s", text)
}

// daemonPrefix begins the engine's own words.
const daemonPrefix = "Error response from daemon: "

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// noPrivilege and noHost are why such a step is not run.
const (
	noPrivilege = "privileged containers are not allowed on this agent: they control the machine of the Docker Engine\n" + whoMay
	noHost      = "the network \"host\" is not allowed on this agent: it is the one of the Docker Engine's machine, with all that listens there\n" + whoMay
	whoMay      = "hint: where everybody who may start runs is trusted with that, " +
		"set agent.privileged: [ID] in acrux.yaml; " +
		"az acr show --name REGISTRY --query id prints the ID"
)

// check refuses what cannot be done, before anything is.
func (s *Scope) check(c engine.Command) error {
	switch {
	case len(c.Ports) > 0 && !s.executor.options.PublishAt.IsValid():
		return daemonError("ports are not published on an agent's Docker Engine, where all runs would have the same: %s\n"+
			"hint: steps on one network reach all ports of each other by the step's ID", strings.Join(c.Ports, ", "))
	case c.Image == engine.ClientImage:
		return daemonError("steps have no Docker API of their run on a Docker Engine")
	case c.Name != "" && !containerName.MatchString(c.Name):
		return daemonError("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed.", c.Name)
	case c.WorkingDir != "" && !path.IsAbs(c.WorkingDir):
		return daemonError("the working directory '%s' is invalid, it needs to be an absolute path.", c.WorkingDir)
	case c.CPUs < 0:
		return daemonError("range of CPUs is from 0.01 up: %v", c.CPUs)
	case c.Memory < 0:
		return daemonError("Minimum memory limit allowed is 6MB")
	case c.Privileged && !s.spec.Privileged:
		return daemonError("%s", noPrivilege)
	case c.Network == "host" && !s.spec.Privileged:
		return daemonError("%s", noHost)
	}
	if power, more := powers(c.Options); more && !s.spec.Privileged {
		return daemonError("the capability %s: %s", power, noPrivilege)
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

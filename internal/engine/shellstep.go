package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// ClientImage is docker's client, which steps have at hand. It has a shell.
const ClientImage = "docker"

// removalTime is how long it may take to remove what a shell has left running.
const removalTime = 30 * time.Second

// prepareShell prepares a cmd step whose line has operators. They act on Azure's agent;
// here the agent of a run is a container of docker's client: a shell in it gets the whole
// line, and makes the step's container through the run's Docker API, with its rules.
func (r *Run) prepareShell(ctx context.Context, step *taskfile.Step, text string, operator *operatorError) (attempt, error) {
	line, err := parseRunLine(firstCommand(text))
	if err != nil {
		line = new(runLine) // whatever it is, the shell will say
	}
	if step.Pull && line.image != "" {
		if _, err := r.pull(ctx, step, line.image); err != nil {
			return nil, err
		}
	}
	command := Command{
		Name: "acb_shell_" + step.ID, Image: ClientImage, Entrypoint: []string{"sh"}, Args: []string{"-c", text},
		Env: []string{"HOME=" + taskfile.HomeDir}, Network: step.Network,
	}
	return func(ctx context.Context, out *finder) error {
		result, err := r.Scope.Command(ctx, command, out)
		if err != nil {
			if errors.Is(context.Cause(ctx), errStepTimeout) {
				return errors.Join(err, r.removeContainer(ctx, step))
			}
			return err
		}
		switch {
		case result.ExitCode != dockerFailed:
		case result.ContainerID != "":
			r.hintByWords(out, line.image)
		default: // not even the shell
			fmt.Fprintf(out, "hint: %s outside of quotes acts on the agent, in a shell of the image docker; in quotes it acts in the container, as in: cmd: bash -c 'a && b'\n", operator.operator)
		}
		return exitStatus(result.ExitCode)
	}, nil
}

// removeContainer ends the step's own container, which outlives the shell that made it.
func (r *Run) removeContainer(ctx context.Context, step *taskfile.Step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removalTime)
	defer cancel()
	_, err := r.Scope.Command(ctx, Command{
		Name: "acb_remove_" + step.ID, Image: ClientImage, Args: []string{"rm", "--force", step.ID}, Network: "none",
	}, io.Discard)
	return err
}

// denied is how docker's client says that a registry wants another credential.
var denied = regexp.MustCompile(`(?i)unauthorized|authentication required|access denied|access forbidden|denied:|insufficient_scope|401|403`)

// hintByWords is hint for docker's client in the step's shell, of which there are words alone.
func (r *Run) hintByWords(out *finder, image string) {
	if ref, err := taskfile.ParseReference(image); err == nil && denied.Match(out.tail) {
		r.hintAt(out, ref.Registry, false)
	}
}

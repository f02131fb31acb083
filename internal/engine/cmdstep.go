package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/tasks/taskfile"
	"github.com/acrux/acrux/internal/wait"
)

// prepareCmd reads a cmd step and pulls its image if asked to.
func (r *Run) prepareCmd(ctx context.Context, position int) (attempt, error) {
	step := &r.Plan.Steps[position]
	text := step.CommandLine(r.Plan.SharedVolume)
	line, err := parseRunLine(text)
	var operator *operatorError
	if errors.As(err, &operator) {
		return r.prepareShell(ctx, step, text, operator)
	}
	if err != nil {
		return nil, err
	}
	command, err := line.command(r.Plan, func(file string) ([]byte, error) {
		return workspace(r.Workspace).read(inStep(buildDir(step), file))
	})
	if err != nil {
		return nil, err
	}
	// A kept container would stand in the way of the next attempt.
	command.Keep = command.Keep && step.Retries == 0 && step.Repeat == 0
	if step.Pull {
		if command.Pull, err = r.pull(ctx, step, command.Image); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, out *finder) error {
		result, err := r.Scope.Command(ctx, command, out)
		if err != nil {
			return err
		}
		if result.ExitCode == 0 && command.Detach {
			fmt.Fprintln(out, result.ContainerID)
		}
		if result.ExitCode >= dockerFailed && result.ExitCode <= notFound {
			r.noteReason(step.ID, out)
		}
		r.hint(out, result.Refused, false)
		return exitStatus(result.ExitCode)
	}, nil
}

// dockerFailed is the exit code of docker run if the container never started, notFound if it has
// no such program; between them is that of one that cannot be executed.
const (
	dockerFailed = 125
	notFound     = 127
)

// pull pulls ahead of the container. If the executor cannot, later says that the
// container's own pull must do it.
func (r *Run) pull(ctx context.Context, step *taskfile.Step, image string) (later bool, err error) {
	puller, ok := r.Scope.(Puller)
	if !ok {
		return true, nil
	}
	r.Log.Printf("Step specified pull. Performing an explicit pull...")
	for left := step.DownloadRetries; ; left-- {
		r.Log.Printf("Launching container with name: ")
		output := r.Log.Output()
		out := newFinder(output)
		result, err := puller.Pull(ctx, image, out)
		if err == nil && !result.OK {
			r.noteReason(step.ID, out)
			r.hint(out, result.Refused, false)
		}
		output.Close()
		switch {
		case err != nil:
			return false, err
		case result.OK:
			r.Log.Printf("Successfully executed container: ")
			return false, nil
		case left == 0:
			r.Log.Printf("Container failed during run: . No retries remaining.")
			return false, exitStatus(1)
		}
		r.Log.Printf("Container failed during run: , waiting %s seconds before retrying...", seconds(step.DownloadRetryDelay))
		if err := wait.For(ctx, step.DownloadRetryDelay); err != nil {
			return false, err
		}
	}
}

// hint adds lines to the output of a failed attempt if a registry refused a pull or a push and
// there is something to do about it.
func (r *Run) hint(out *finder, refused *registryclient.Refusal, push bool) {
	if refused == nil || !refused.Denied() {
		return
	}
	r.hintAt(out, refused.Host, push)
}

func (r *Run) hintAt(out *finder, host string, push bool) {
	if r.Hint == nil {
		return
	}
	if line := r.Hint(host, push); line != "" {
		if !strings.HasSuffix(string(out.tail), "\n") {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, line)
	}
}

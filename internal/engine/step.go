package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/taskfile"
	"github.com/acrux/acrux/internal/wait"
)

// errStepTimeout ends a step whose time is up.
var errStepTimeout = errors.New("the step's time is up")

// timedOut is what the log calls it.
const timedOut = Failure("timed out")

// step executes one step and reports on it. Its error ends the run.
func (r *Run) step(ctx context.Context, position int) error {
	step := &r.Plan.Steps[position]
	r.Log.Printf("Executing step ID: %s. Timeout(sec): %s, Working directory: '%s', Network: '%s'",
		step.ID, step.TimeoutSeconds(), step.WorkingDirectory, step.Network)
	if step.StartDelay > 0 {
		r.Log.Printf("Waiting %s seconds before executing step ID: %s", seconds(step.StartDelay), step.ID)
		if err := wait.For(ctx, step.StartDelay); err != nil {
			return err
		}
	}
	state := lease.StepState{ID: step.ID, State: InProgress, Started: time.Now()}
	r.tell(state)
	err := r.execute(ctx, position)
	state.Finished = time.Now()
	r.mu.Lock()
	r.elapsed[step.ID] = state.Finished.Sub(state.Started)
	r.mu.Unlock()
	err = r.judge(step, err)
	state.State = Successful
	if err != nil {
		state.State = Failed
	}
	r.tell(state)
	return err
}

// judge decides whether a step's failure is one of the run.
func (r *Run) judge(step *taskfile.Step, err error) error {
	var failure Failure
	switch {
	case !errors.As(err, &failure):
		return err
	case step.IgnoreErrors:
		r.Log.Printf("Step ID: %s encountered an error: %s, but is set to ignore errors. Continuing...", step.ID, failure)
		return nil
	}
	r.mu.Lock()
	r.culprit = step.ID
	r.mu.Unlock()
	return Failure(fmt.Sprintf("failed to run step ID: %s: %s", step.ID, failure))
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// containerNames are those a container may have.
var containerNames = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func (r *Run) execute(ctx context.Context, position int) error {
	step := &r.Plan.Steps[position]
	if step.Kind == taskfile.KindPush {
		return within(ctx, step, func(ctx context.Context) error { return r.push(ctx, step) })
	}
	if !containerNames.MatchString(step.ID) {
		return Failure(fmt.Sprintf("invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", step.ID))
	}
	prepare := r.prepareCmd
	if step.Kind == taskfile.KindBuild {
		prepare = r.prepareBuild
	}
	once, err := prepare(ctx, position)
	if err != nil {
		return err
	}
	return within(ctx, step, func(ctx context.Context) error { return r.repeat(ctx, step, once) })
}

// within runs f under the step's time limit.
func within(ctx context.Context, step *taskfile.Step, f func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, step.Timeout, errStepTimeout)
	defer cancel()
	err := f(limited)
	if errors.Is(err, errStepTimeout) {
		return timedOut
	}
	return err
}

// attempt is one execution of a step: its error is a Failure, or ends the run.
type attempt func(ctx context.Context, out *finder) error

// repeat executes a step 1 + Repeat times and collects what failed.
func (r *Run) repeat(ctx context.Context, step *taskfile.Step, once attempt) error {
	var failures []string
	for range step.Repeat + 1 {
		err := r.attempts(ctx, step, once)
		var failure Failure
		switch {
		case errors.Is(err, errStepTimeout):
			failure = timedOut
		case err != nil && !errors.As(err, &failure):
			return err
		case err == nil:
			continue
		}
		failures = append(failures, failure.Error())
		if failure == timedOut {
			break
		}
	}
	if len(failures) == 0 {
		return nil
	}
	return Failure(strings.Join(failures, ", "))
}

// attempts tries a step up to 1 + Retries times. Its time limit ends that.
func (r *Run) attempts(ctx context.Context, step *taskfile.Step, once attempt) error {
	for left := step.Retries; ; left-- {
		retry, err := r.attempt(ctx, step, once)
		var failure Failure
		late := errors.Is(err, errStepTimeout)
		switch {
		case err == nil:
			r.Log.Printf("Successfully executed container: %s", step.ID)
			return nil
		case !late && !errors.As(err, &failure):
			return err
		case late || left == 0 || !retry:
			r.Log.Printf("Container failed during run: %s. No retries remaining.", step.ID)
			return err
		}
		r.Log.Printf("Container failed during run: %s, waiting %s seconds before retrying...", step.ID, seconds(step.RetryDelay))
		if err := wait.For(ctx, step.RetryDelay); err != nil {
			return err
		}
	}
}

// attempt executes a step once; retry says whether its output allows another try.
func (r *Run) attempt(ctx context.Context, step *taskfile.Step, once attempt) (retry bool, err error) {
	r.Log.Printf("Launching container with name: %s", step.ID)
	r.mu.Lock()
	delete(r.reasons, step.ID) // of an attempt before
	r.mu.Unlock()
	output := r.Log.Output()
	out := newFinder(output, step.RetryOnErrors...)
	err = once(ctx, out)
	output.Close()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // however the executor put it
	}
	return len(step.RetryOnErrors) == 0 || out.found, err
}

// exitStatus is the failure of a client or container that ended with code.
func exitStatus(code int) error {
	if code == 0 {
		return nil
	}
	return Failure("exit status " + strconv.Itoa(code))
}

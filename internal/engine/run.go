package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Failure says that a run or a step failed for a reason that is the user's to
// know. Its text is what the log shows.
type Failure string

// Error implements error.
func (f Failure) Error() string { return string(f) }

// Listener is told how steps get on. Calls come one at a time; a call must not
// take long, for the run waits.
type Listener interface {
	// Running says that the preparations are over and the first step begins.
	Running()
	// Step says that a step's state has changed.
	Step(lease.StepState)
}

// States of a step.
const (
	Skipped    = "skipped"
	InProgress = "inprogress"
	Successful = "successful"
	Failed     = "failed"
)

// Login is a registry that the run logs in to before its first step.
type Login struct {
	Registry string
	// Verify checks the credential with the registry, as docker login does, and
	// returns it. A refusal is a Failure with docker's words.
	Verify func(ctx context.Context) (Credential, error)
}

// Run is one run of a plan. All fields are set before Execute and not changed
// afterwards; Listener, Fetch and Hint may be nil.
type Run struct {
	Plan      *taskfile.Plan
	Scope     Scope
	Workspace string // directory on this machine
	Home      string // directory on this machine
	Scratch   string // directory on this machine that no step sees
	Log       *Log
	Listener  Listener
	Logins    []Login
	// Commit is the head revision of the run's own context, or empty.
	Commit string
	// Fetch gets a remote build context into dir, which does not exist yet, and
	// returns its head revision, if it has one. Nil makes such steps fail.
	Fetch func(ctx context.Context, context taskfile.Context, dir string) (commit string, err error)
	// Hint returns lines that help if a registry refused the run a pull or a push, or
	// nothing.
	Hint func(host string, push bool) string

	mu      sync.Mutex
	reports []*report           // by position of the step
	pushed  map[string]string   // image → digest
	volumes map[string]fileSet  // contents, for build secrets
	elapsed map[string]duration // by step
	layers  Layers              // of all builds
	reasons map[string]string   // why attempts failed, by step
	culprit string              // the step that ended the run
}

type (
	fileSet  map[string][]byte
	duration = time.Duration
)

// Outcome is how a run ended.
type Outcome struct {
	OK bool
	// Message is the reason for people, as it follows "Error: " in the log.
	Message string
	// Cause is what failed first, on one line and without secrets; empty where that is not known.
	Cause        string
	Dependencies []lease.Dependency
	Layers       Layers // of all builds, also of those that failed
}

// RunFailed is the message of every run that failed: the exit status is that of
// Azure's runner, whatever the step's was.
const RunFailed = "failed during run, err: exit status 1"

// Execute runs the plan: networks, logins, volumes, steps, report. Everything up
// to the run's last but one line is in the log afterwards. An error means that the
// run could not be carried out, or that ctx ended: then it is ctx's cause.
func (r *Run) Execute(ctx context.Context) (Outcome, error) {
	r.reports = make([]*report, len(r.Plan.Steps))
	r.pushed = map[string]string{}
	r.volumes = map[string]fileSet{}
	r.elapsed = map[string]duration{}
	r.reasons = map[string]string{}
	err := r.stages(ctx)
	var failure Failure
	switch {
	case ctx.Err() != nil && err != nil:
		return Outcome{}, context.Cause(ctx)
	case errors.As(err, &failure):
		r.Log.Plain(failure.Error())
		return Outcome{Message: RunFailed, Cause: r.cause(failure), Layers: r.layers}, nil
	case err != nil:
		return Outcome{}, err
	}
	return Outcome{OK: true, Dependencies: r.summary(), Layers: r.layers}, nil
}

func (r *Run) stages(ctx context.Context) error {
	for _, warning := range r.Plan.Warnings {
		r.Log.Printf("%s", warning)
	}
	if len(r.Plan.Steps) == 0 {
		r.Log.Printf("WARNING: the task file has no steps; nothing is done")
	}
	for _, stage := range []func(context.Context) error{r.networks, r.logins, r.cacheBuilder, r.makeVolumes, r.steps} {
		if err := stage(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) networks(ctx context.Context) error {
	for _, network := range r.Plan.Networks {
		if network.SkipCreation {
			r.Log.Printf("Skip creating network: %s", network.Name)
			continue
		}
		r.Log.Printf("Creating Docker network: %s, driver: '%s'", network.Name, network.Driver)
		err := r.Scope.CreateNetwork(ctx, Network{Name: network.Name, Driver: network.Driver, IPv6: network.IPv6})
		if err != nil {
			return usersFault(err, "failed to create network: %s, err: exit status 1, msg: %s", network.Name)
		}
		r.Log.Printf("Successfully set up Docker network: %s", network.Name)
	}
	return nil
}

// usersFault turns an error that the author of the task can mend into a Failure.
// Its text is the last argument of the format.
func usersFault(err error, format string, args ...any) error {
	var p *problem.Error
	if errors.As(err, &p) && !p.Kind.Ours() && p.Kind != problem.Unavailable {
		return Failure(fmt.Sprintf(format, append(args, p.Text())...))
	}
	return err
}

func (r *Run) logins(ctx context.Context) error {
	r.Log.Printf("Setting up Docker configuration...")
	config := newDockerConfig(r.Home)
	if err := config.write(); err != nil {
		return err
	}
	r.Log.Printf("Successfully set up Docker configuration")
	for _, login := range r.Logins {
		r.Log.Printf("Logging in to registry: %s", login.Registry)
		credential, err := login.Verify(ctx)
		if err != nil {
			return err
		}
		if err := config.login(login.Registry, credential); err != nil {
			return err
		}
		r.Log.Printf("Successfully logged into %s", login.Registry)
	}
	return nil
}

// cacheBuilder tells what Azure's runner tells when it starts the builder that can use a
// cache elsewhere. Ours always can, and runs already.
func (r *Run) cacheBuilder(context.Context) error {
	if !slices.ContainsFunc(r.Plan.Steps, func(s taskfile.Step) bool { return s.Build.Cached }) {
		return nil
	}
	r.Log.Printf("Task will use build cache, initializing buildkitd container")
	r.Log.Printf("Launching container with name: acrbuildkitdcontainer")
	id := sha256.Sum256([]byte(r.Plan.SharedVolume)) // what names the builder in this run
	r.Log.Plain(hex.EncodeToString(id[:]))
	r.Log.Printf("Successfully executed container: acrbuildkitdcontainer")
	return nil
}

func (r *Run) makeVolumes(ctx context.Context) error {
	for _, volume := range r.Plan.Volumes {
		files, err := volume.Decode()
		if err != nil {
			return Failure(err.Error())
		}
		if err := r.Scope.CreateVolume(ctx, volume.Name, files); err != nil {
			return usersFault(err, "failed to create volume: %s, msg: %s", volume.Name)
		}
		r.volumes[volume.Name] = files
		r.Log.Printf("Volume source %s successfully created", volume.Name)
	}
	return nil
}

// tell informs the listener.
func (r *Run) tell(state lease.StepState) {
	if r.Listener == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Listener.Step(state)
}

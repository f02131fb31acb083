package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/agent/imds"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/wait"
)

// errRunTimeout ends a run whose time is up.
var errRunTimeout = errors.New("the run's time is up")

// errStopped ends the runs of an agent that is being stopped.
var errStopped = errors.New("the agent was stopped while it executed the run")

// run is one run being executed.
type run struct {
	agent        *Agent
	leaser       lease.Leaser
	lease        *lease.Lease
	job          *lease.Job
	started      time.Time
	id           string // for the executor and the file system
	dir          string // of everything the run has on this machine
	sharedVolume string
	mask         *secret.Mask
	log          *engine.Log
	credentials  *credentials
	resolved     bool                   // the credentials are those of all logins
	denied       atomic.Pointer[string] // what a registry said that refused the run; renewals come beside it
	registries   *registryclient.Client
	metadata     *imds.Handler
	reporter     *reporter

	commit, branch string // of the job's context
}

// newRun gathers what a run needs, and what must never be shown of it.
func (a *Agent) newRun(l *lease.Lease, out *sink) *run {
	r := &run{
		agent: a, leaser: a.Leaser, lease: l, job: &l.Job, started: time.Now(), id: uuid.NewString(),
		sharedVolume: "acb_vol_" + uuid.NewString(), mask: secret.NewMask(), credentials: new(credentials),
		registries: a.registries,
	}
	r.dir = filepath.Join(a.runsDir(), r.id)
	r.log = engine.NewLog(out, r.mask)
	r.credentials.asked = r.tellName
	r.metadata = &imds.Handler{Identities: r.job.Identities, Key: imds.NewKey(), Token: r.token}
	r.mask.Add(r.metadata.Key)
	r.mask.Add(l.Job.Step.ContextToken)
	for _, login := range l.Job.Logins {
		r.mask.Add(login.Password)
	}
	for _, values := range [][]lease.Value{l.Job.Step.Values, l.Job.Step.Build.Arguments} {
		for _, value := range values {
			if value.Secret {
				r.mask.Add(secret.New(value.Value))
			}
		}
	}
	return r
}

func (r *run) workspace() string { return filepath.Join(r.dir, "workspace") }
func (r *run) home() string      { return filepath.Join(r.dir, "home") }

// parting is how long an agent tries to hand in the end of a run, and farewell is what is
// left of that when the agent itself is stopped.
const (
	parting  = time.Hour
	farewell = 30 * time.Second
)

// execute carries out a leased run from its first log line to Complete.
func (a *Agent) execute(ctx context.Context, l *lease.Lease) {
	// What tells of the run outlives what runs it.
	telling, stopTelling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTelling()
	out := newSink(telling, a.Leaser, l.Key)
	r := a.newRun(l, out)
	if !r.hasContext() {
		r.announceVolume() // at once: somebody is waiting for a sign of life
	}
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	go heartbeat(telling, a.Leaser, l, end)
	limited, stop := context.WithTimeoutCause(running, limit(l.Job.Timeout), errRunTimeout)
	defer stop()

	r.reporter = newReporter(telling, a.Leaser, l.Key)
	outcome, err := r.guarded(limited)
	r.cleanup()
	if err != nil && context.Cause(running) == context.Cause(ctx) && ctx.Err() != nil {
		err = errStopped
	}
	result := r.conclude(outcome, err)
	end(nil)

	last, cancel := context.WithTimeout(telling, parting)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(farewell, cancel) })()
	r.reporter.Close(last)
	logErr := out.Close(last)
	if err := a.complete(last, l, result, logErr); err != nil {
		a.Logger.Warn("the end of a run could not be handed in", "run", l.Run, "status", result.Status, "error", err)
	}
}

// limit is a run's time; a job without one is given Azure's default.
func limit(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return time.Hour
	}
	return timeout
}

func (r *run) announceVolume() {
	r.log.Printf("Using %s as the home volume", r.sharedVolume)
}

// complete ends the lease, trying again while the control plane does not answer.
func (a *Agent) complete(ctx context.Context, l *lease.Lease, result lease.Result, logErr error) error {
	if errors.Is(logErr, lease.ErrLost) {
		return logErr
	}
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := a.Leaser.Complete(ctx, l.Key, result)
		if err == nil || errors.Is(err, lease.ErrLost) || ctx.Err() != nil {
			return err
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
	}
}

// guarded is carry, with a panic turned into an error: one run must not end the agent.
func (r *run) guarded(ctx context.Context) (outcome engine.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.carry(ctx)
}

// carry prepares the run and executes its plan.
func (r *run) carry(ctx context.Context) (engine.Outcome, error) {
	for _, dir := range []string{r.dir, r.home(), filepath.Join(r.dir, "scratch")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return engine.Outcome{}, err
		}
	}
	var failure engine.Failure
	if err := r.fetchContext(ctx); errors.As(err, &failure) && ctx.Err() == nil {
		r.log.Plain(failure.Error())
		return engine.Outcome{Message: downloadFailed, Cause: r.cause(failure)}, nil
	} else if err != nil {
		return engine.Outcome{}, err
	}
	if r.hasContext() {
		r.announceVolume()
	}
	execution, err := r.prepare(ctx)
	if errors.As(err, &failure) && ctx.Err() == nil {
		r.log.Plain(failure.Error())
		return engine.Outcome{Message: engine.RunFailed, Cause: r.cause(failure)}, nil
	}
	if err != nil {
		return engine.Outcome{}, err
	}
	return r.inScope(ctx, execution)
}

// prepare makes the plan and finds the credentials.
func (r *run) prepare(ctx context.Context) (*engine.Run, error) {
	plan, err := r.plan(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.resolveLogins(ctx); err != nil {
		return nil, err
	}
	return &engine.Run{
		Plan: plan, Workspace: r.workspace(), Home: r.home(), Scratch: filepath.Join(r.dir, "scratch"),
		Log: r.log, Listener: r.reporter, Logins: r.logins(), Commit: r.commit, Fetch: r.fetchStep, Hint: r.hint,
	}, nil
}

// inScope opens a scope for the run and closes it afterwards.
func (r *run) inScope(ctx context.Context, execution *engine.Run) (outcome engine.Outcome, err error) {
	scope, err := r.agent.Executor.Open(ctx, engine.RunSpec{
		ID: r.id, Workspace: r.workspace(), Home: r.home(), Credentials: r.credentials,
		Identity: r.metadata, CacheScope: cacheScope(r.job), OwnRegistry: r.job.LoginServer, Registries: r.ownRegistries(),
		Privileged: r.agent.Privileged(r.job.RegistryID), SharedVolume: r.sharedVolume,
	})
	if err != nil {
		return engine.Outcome{}, fmt.Errorf("opening a scope: %w", err)
	}
	defer func() {
		if closeErr := scope.Close(); closeErr != nil {
			r.agent.Logger.Error("a run's scope could not be cleaned up", "run", r.lease.Run, "error", closeErr)
		}
	}()
	execution.Scope = scope
	return execution.Execute(ctx)
}

// ownRegistries are the hosts of this installation among those of the job.
func (r *run) ownRegistries() (hosts []string) {
	for _, login := range append([]lease.Login{{Registry: r.job.LoginServer}}, r.job.Logins...) {
		for _, host := range append([]string{login.Registry}, login.Aliases...) {
			if r.agent.Dialer.IsOwn(host) && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// cacheScope is what a job's builds share layers within: its task, or all runs of its
// registry that are no task's. Whoever could plant something there may also change the
// task, or what else is run in the registry.
func cacheScope(job *lease.Job) string {
	if job.TaskID != "" {
		return strings.ToLower(job.TaskID)
	}
	if job.RegistryID != "" { // a name may be another registry's one day
		return strings.ToLower(job.RegistryID)
	}
	return "registry:" + strings.ToLower(job.LoginServer)
}

// tokenPatience is how long a token is waited for while the control plane's store is away.
const tokenPatience = time.Minute

// token asks for a token of the run, and again while the control plane's store is away.
func (r *run) token(ctx context.Context, request lease.TokenRequest) (lease.AccessToken, error) {
	until := time.Now().Add(tokenPatience)
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		token, err := r.leaser.Token(ctx, r.lease.Key, request)
		if err == nil {
			r.mask.Add(token.Token)
		}
		if !problem.Is(err, problem.Away) || time.Now().After(until) || wait.For(ctx, pause) != nil {
			return token, err
		}
	}
}

func (r *run) cleanup() {
	if err := os.RemoveAll(r.dir); err != nil {
		r.agent.Logger.Error("a run's directory could not be removed", "run", r.lease.Run, "error", err)
	}
}

// conclude writes the last line of the log and returns how the run ended.
func (r *run) conclude(outcome engine.Outcome, err error) lease.Result {
	took := time.Since(r.started).Round(time.Second)
	result := lease.Result{
		Dependencies: outcome.Dependencies,
		Layers:       lease.Layers{Total: outcome.Layers.Total, Cached: outcome.Layers.Cached},
	}
	switch {
	case err == nil && outcome.OK:
		result.Status = lease.Succeeded
	case err == nil:
		result.Status, result.Message, result.Cause = lease.Failed, outcome.Message, outcome.Cause
	case errors.Is(err, lease.ErrCanceled):
		result.Status, result.Message = lease.Canceled, lease.ErrCanceled.Error()
	case errors.Is(err, errRunTimeout):
		result.Status, result.Message = lease.Timeout, "failed during run, err: context deadline exceeded"
		result.Cause = fmt.Sprintf("the time limit of the run, %s, was reached", limit(r.job.Timeout))
	case errors.Is(err, errStopped), errors.Is(err, lease.ErrLost):
		result.Status, result.Message = lease.Error, err.Error()
	default:
		result.Status, result.Message = lease.Error, "internal error; the log of the agent has more"
		r.agent.Logger.Error("a run could not be executed", "run", r.lease.Run, "error", err)
	}
	var line string
	switch result.Status {
	case lease.Succeeded:
		line = fmt.Sprintf("Run ID: %s was successful after %s", r.job.RunID, took)
	case lease.Canceled:
		line = fmt.Sprintf("Run ID: %s was canceled after %s", r.job.RunID, took)
	default:
		line = fmt.Sprintf("Run ID: %s failed after %s. Error: %s", r.job.RunID, took, result.Message)
	}
	r.log.Plain("\n" + line)
	return result
}

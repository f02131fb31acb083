// Package local executes one task file on this machine, without a server. It is the
// control plane of that one run, which an ordinary agent leases: so the run is prepared,
// executed and told of as it would be on a server.
//
//	Run ─ archive of the folder on loopback ─ agent ─ lease.Leaser (here) ─ log to a writer
//
// The identities of a server's task are there if Options.Token asks that server for them.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/acrux/acrux/internal/agent"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/docker"
	"github.com/acrux/acrux/internal/engine/embedded"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// Options say where and how runs are executed.
type Options struct {
	// Root is a directory for images, caches and what a run needs. One process at a
	// time uses it.
	Root string
	// Dialer makes all connections.
	Dialer *egress.Dialer
	// StepNetwork lets steps reach the machine's networks, Privileged lets them control
	// the machine.
	StepNetwork, Privileged bool
	// DockerHost is the socket of a Docker Engine of this machine that works instead of
	// the embedded engine, which needs Linux and root. Empty is none.
	DockerHost string
	// DockerClient is embedded.Options.DockerClient.
	DockerClient string
	// OwnPorts are where steps find the hosts that Dialer.Own knows.
	OwnPorts []uint16
	Logger   *slog.Logger
	// Token asks for a token of one of the job's identities. Nil is a run without any.
	Token func(ctx context.Context, request lease.TokenRequest) (lease.AccessToken, error)
	// Executor replaces the engine; the caller closes it. For tests.
	Executor engine.Executor
}

// Run executes a job and writes its log, as it grows, to out. When ctx ends the run is
// canceled; that is an outcome like others. An error says that there was no run.
func (o Options) Run(ctx context.Context, job lease.Job, out io.Writer) (lease.Result, error) {
	if err := os.MkdirAll(o.Root, 0o700); err != nil {
		return lease.Result{}, err
	}
	lock, err := lockDirectory(o.Root)
	if err != nil {
		return lease.Result{}, err
	}
	defer lock.Close()
	if o.Executor != nil {
		return o.execute(ctx, o.Executor, job, out)
	}
	executor, err := o.open(ctx)
	if err != nil {
		return lease.Result{}, err
	}
	result, err := o.execute(ctx, executor, job, out)
	return result, errors.Join(err, executor.Close())
}

// closingExecutor is an executor that was opened here.
type closingExecutor interface {
	engine.Executor
	io.Closer
}

// tidied is an executor that tidies up before it is closed: it is there for one run, and would
// have no time for it otherwise.
type tidied struct{ *embedded.Executor }

func (t tidied) Close() error {
	return errors.Join(t.Tidy(context.Background()), t.Executor.Close())
}

// publishAt is where this machine's user finds the ports of a run.
var publishAt = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func (o Options) open(ctx context.Context) (closingExecutor, error) {
	dialer := o.Dialer.ForContent()
	if o.DockerHost != "" {
		return docker.Open(ctx, docker.Options{Root: filepath.Join(o.Root, "docker"), Host: o.DockerHost,
			Dialer: dialer, Log: o.Logger, Egress: o.StepNetwork, PublishAt: publishAt})
	}
	executor, err := embedded.Open(ctx, embedded.Options{Root: filepath.Join(o.Root, "engine"), OwnTemporary: true, Dialer: dialer,
		Log: o.Logger, Egress: o.StepNetwork, OwnPorts: o.OwnPorts, DockerClient: o.DockerClient, PublishAt: publishAt})
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, problem.New(problem.Invalid, "EngineUnavailable", "The embedded engine cannot work here: %v.", err).
			Hint("run this as root on Linux, or on a Docker Engine: --docker-host %s", docker.DefaultHost).Because(err)
	}
	return tidied{executor}, nil
}

func (o Options) execute(ctx context.Context, executor engine.Executor, job lease.Job, out io.Writer) (lease.Result, error) {
	job.OS, job.Arch = "linux", runtime.GOARCH
	working, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	c := &control{job: job, out: out, user: ctx, ended: done, token: o.Token}
	a := agent.New(agent.Options{Leaser: c, Executor: executor, Dialer: o.Dialer, Root: filepath.Join(o.Root, "agent"),
		Agent: lease.Agent{Name: "local", OS: "linux", Arch: runtime.GOARCH}, Slots: 1, Logger: o.Logger,
		Privileged: func(string) bool { return o.Privileged }})
	if err := a.Run(working); err != nil {
		return lease.Result{}, err
	}
	return c.result, c.failed
}

// control is the control plane of one run.
type control struct {
	job   lease.Job
	out   io.Writer
	user  context.Context // ends when the user cancels
	ended func()
	token func(context.Context, lease.TokenRequest) (lease.AccessToken, error)

	given  bool
	offset int64
	result lease.Result
	failed error // of writing the log
}

var _ lease.Leaser = (*control)(nil)

// term is the time between two heart-beats; nobody else could take the run.
const term = time.Minute

// Acquire implements lease.Leaser: there is one run. The agent has one slot, so it calls
// this from one goroutine.
func (c *control) Acquire(ctx context.Context, _ lease.Agent) (*lease.Lease, error) {
	if c.given {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	c.given = true
	return &lease.Lease{Key: lease.Key{Run: c.job.RunID, Fence: 1}, Deadline: time.Now().Add(term), Job: c.job}, nil
}

// Renew implements lease.Leaser.
func (c *control) Renew(ctx context.Context, _ lease.Key) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.user.Done():
		return lease.ErrCanceled
	case <-time.After(term / 2):
		return nil
	}
}

// Report implements lease.Leaser; the log says as much.
func (c *control) Report(context.Context, lease.Key, lease.Progress) error { return nil }

// AppendLog implements lease.Leaser. The agent calls it from one goroutine at a time.
func (c *control) AppendLog(_ context.Context, _ lease.Key, offset int64, p []byte) error {
	if skip := c.offset - offset; skip > 0 {
		p = p[min(skip, int64(len(p))):]
	} else if skip < 0 {
		return fmt.Errorf("the log has %d bytes, and more come at %d", c.offset, offset)
	}
	c.offset += int64(len(p))
	if _, err := c.out.Write(withoutReturns(p)); err != nil {
		c.failed = fmt.Errorf("writing the log: %w", err)
	}
	return nil
}

// withoutReturns makes CR LF, which the contract has, LF. A CR that stands alone stays.
func withoutReturns(p []byte) []byte {
	plain := make([]byte, 0, len(p))
	for i, b := range p {
		if b == '\r' && i+1 < len(p) && p[i+1] == '\n' {
			continue
		}
		plain = append(plain, b)
	}
	return plain
}

// Token implements lease.Leaser.
func (c *control) Token(ctx context.Context, _ lease.Key, request lease.TokenRequest) (lease.AccessToken, error) {
	if c.token == nil {
		return lease.AccessToken{}, problem.New(problem.Invalid, "IdentityNotFound", "a run on this machine has no identities but those of a server's task").
			Hint("acrux run --registry NAME --as-task TASK")
	}
	return c.token(ctx, request)
}

// Complete implements lease.Leaser.
func (c *control) Complete(_ context.Context, _ lease.Key, result lease.Result) error {
	c.result = result
	c.ended()
	return nil
}

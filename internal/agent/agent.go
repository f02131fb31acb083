// Package agent executes runs: it takes leases from a lease.Leaser, prepares what
// a run needs, has its plan carried out by the engine and says how it ended. It
// holds no key, no role and no connection to a store.
//
// Of one run:
//
//	Acquire ─ first log line ─ fetch context ─ render ─ exchange tokens ─ open scope
//	        ─ engine.Run ─ close scope ─ last log line ─ Complete
//
// beside it a heart-beat renews the lease and ends the run when a user cancels it
// or the lease is lost.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/wait"
)

// Options is what an agent is made of.
type Options struct {
	Leaser   lease.Leaser
	Executor engine.Executor
	// Dialer makes all connections to where a user's task says: contexts, registries
	// at login, alias sources, vaults. What a file out of a context says is content.
	Dialer *egress.Dialer
	// Root is a directory of the agent's own. Runs have their directories below it;
	// what an earlier process left there is removed at the start.
	Root string
	// Agent describes this agent to the control plane.
	Agent lease.Agent
	// Slots is how many runs are executed at the same time; 0 is 1.
	Slots int
	// Privileged says for the ARM ID of a registry whether steps of its runs may be
	// privileged; nil is never.
	Privileged func(registryID string) bool
	// PublicName says which registry of the installation has a name of the public cloud
	// here, by its login server; nil is none.
	PublicName func(host string) (loginServer string, ok bool)
	// AzureSuffixes are what the hosts of registries end in that tokens of identities go to,
	// beside those of this installation; nil is the variable of that name.
	AzureSuffixes []string
	// ImageAliases are the short names of images in task files; nil is Azure's list.
	ImageAliases map[string]string
	// MaxContextBytes bounds one build context; 0 is 4 GiB.
	MaxContextBytes int64
	Logger          *slog.Logger // nil is slog.Default
}

// Agent executes runs.
type Agent struct {
	Options
	asked   ways // to what callers name
	content ways // to what content names

	registries *registryclient.Client
}

// New returns an agent. Nothing happens before Run.
func New(o Options) *Agent {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Privileged == nil {
		o.Privileged = func(string) bool { return false }
	}
	if o.PublicName == nil {
		o.PublicName = func(string) (string, bool) { return "", false }
	}
	if o.AzureSuffixes == nil {
		o.AzureSuffixes = registryclient.AzureSuffixes
	}
	if o.Slots < 1 {
		o.Slots = 1
	}
	return &Agent{
		Options: o, asked: newWays(o.Dialer, o.MaxContextBytes), content: newWays(o.Dialer.ForContent(), o.MaxContextBytes),
		registries: registriesOf(o),
	}
}

// runsDir is where the directories of runs are.
func (a *Agent) runsDir() string { return filepath.Join(a.Root, "runs") }

// Run executes runs until ctx ends, and then ends those that are under way, with
// the status Error.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.sweep(); err != nil {
		return err
	}
	slots, slotCtx := errgroup.WithContext(ctx)
	for range a.Slots {
		slots.Go(func() error { return a.slot(slotCtx) })
	}
	err := slots.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sweep removes what an earlier process left behind.
func (a *Agent) sweep() error {
	if err := os.RemoveAll(a.runsDir()); err != nil {
		return fmt.Errorf("removing directories of earlier runs: %w", err)
	}
	if err := os.MkdirAll(a.runsDir(), 0o700); err != nil {
		return fmt.Errorf("making the directory for runs: %w", err)
	}
	return nil
}

// acquirePause is how long an agent waits after the control plane failed to answer.
const acquirePause = time.Second

// slot executes one run after the other.
func (a *Agent) slot(ctx context.Context) error {
	for {
		acquired, err := a.Leaser.Acquire(ctx, a.Agent)
		switch {
		case err == nil:
			a.execute(ctx, acquired)
		case ctx.Err() != nil:
			return nil
		default:
			if !errors.Is(err, context.DeadlineExceeded) { // of the call: nothing was queued
				a.Logger.Warn("no answer to a request for work", "error", err)
			}
			if wait.For(ctx, acquirePause) != nil {
				return nil
			}
		}
	}
}

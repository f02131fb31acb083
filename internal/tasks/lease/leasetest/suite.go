// Package leasetest has the suite that every lease.Leaser passes, and Memory, a
// Leaser without a control plane for tests of agents.
package leasetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/tasks/lease"
)

// Fixture is a Leaser under test, with the hooks that the suite needs on the other
// side of it.
type Fixture struct {
	Leaser lease.Leaser
	// Queue queues a run of the job and returns its key's Run.
	Queue func(job lease.Job) (run string)
	// Cancel asks for the run to be canceled, as a user would.
	Cancel func(run string)
	// Expire lets the deadline of the run's lease pass, and does what the control
	// plane then does.
	Expire func(run string)
	// Status is the run's state: "Queued", "Started", "Running" or a lease.Status.
	Status func(run string) string
	// Log is the run's log so far.
	Log func(run string) string
}

// Run runs the suite. new is called once for each test.
func Run(t *testing.T, new func(t *testing.T) Fixture) {
	tests := map[string]func(*testing.T, Fixture){
		"a run from queue to end":         lifecycle,
		"acquire waits":                   acquireWaits,
		"acquire ends with its context":   acquireEnds,
		"acquire in order":                acquireOrder,
		"the log takes repeats, no gaps":  appendLog,
		"cancel wakes renew":              cancelWakes,
		"cancel before renew":             cancelBefore,
		"cancel while queued":             cancelQueued,
		"a lost lease":                    lost,
		"complete twice":                  completeTwice,
		"a key that never was":            foreignKey,
		"renew ends with its context":     renewEnds,
		"two agents never share a run":    noSharing,
		"canceled run may be completed":   completeCanceled,
		"complete needs no earlier stage": completeEarly,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, new(t)) })
	}
}

// patience bounds what must happen at once; it is far more than it takes.
const patience = 20 * time.Second

var agent = lease.Agent{Name: "test", OS: "linux", Arch: "amd64"}

func job(id string) lease.Job {
	return lease.Job{RunID: id, RegistryName: "myregistry", LoginServer: "myregistry.azurecr.io", OS: "linux", Arch: "amd64", Timeout: time.Hour,
		Step: lease.Step{Kind: lease.EncodedTask, Task: []byte("version: v1.1.0\n")}}
}

func acquire(t *testing.T, f Fixture) *lease.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := f.Leaser.Acquire(ctx, agent)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantStatus(t *testing.T, f Fixture, run, want string) {
	t.Helper()
	if got := f.Status(run); got != want {
		t.Errorf("the run is %s, want %s", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func lifecycle(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	wantStatus(t, f, run, "Queued")
	l := acquire(t, f)
	if l.Run != run || l.Job.RunID == "" || !strings.HasSuffix(run, l.Job.RunID) || l.Fence <= 0 || string(l.Job.Step.Task) != "version: v1.1.0\n" {
		t.Errorf("got lease %+v of %s", l.Key, l.Job.RunID)
	}
	wantStatus(t, f, run, "Started")
	must(t, f.Leaser.Report(t.Context(), l.Key, lease.Progress{Stage: lease.Running}))
	wantStatus(t, f, run, "Running")
	must(t, f.Leaser.AppendLog(t.Context(), l.Key, 0, []byte("hello\r\n")))
	must(t, f.Leaser.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}))
	wantStatus(t, f, run, "Succeeded")
	if got := f.Log(run); got != "hello\r\n" {
		t.Errorf("log %q", got)
	}
}

func acquireWaits(t *testing.T, f Fixture) {
	got := make(chan *lease.Lease, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		l, err := f.Leaser.Acquire(ctx, agent)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	run := f.Queue(job("cf1"))
	if l := <-got; l == nil || l.Run != run {
		t.Errorf("got %+v, want a lease of %s", l, run)
	}
}

func acquireEnds(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Leaser.Acquire(ctx, agent)
	wantErr(t, "acquire", err, context.Canceled)
}

func acquireOrder(t *testing.T, f Fixture) {
	first, second := f.Queue(job("cf1")), f.Queue(job("cf2"))
	if a, b := acquire(t, f), acquire(t, f); a.Run != first || b.Run != second {
		t.Errorf("got %s then %s, want %s then %s", a.Run, b.Run, first, second)
	}
}

func noSharing(t *testing.T, f Fixture) {
	f.Queue(job("cf1"))
	acquire(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if l, err := f.Leaser.Acquire(ctx, agent); err == nil {
		t.Errorf("a second agent got %+v", l.Key)
	}
}

func appendLog(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	for _, piece := range []struct {
		offset int64
		text   string
	}{{0, "one\r\n"}, {0, "one\r\n"}, {5, "two\r\n"}, {5, "two\r\n"}, {0, "one\r\ntwo\r\nthree\r\n"}, {17, ""}} {
		if err := f.Leaser.AppendLog(t.Context(), key, piece.offset, []byte(piece.text)); err != nil {
			t.Errorf("%q at %d: %v", piece.text, piece.offset, err)
		}
	}
	if err := f.Leaser.AppendLog(t.Context(), key, 100, []byte("gap\r\n")); err == nil || errors.Is(err, lease.ErrLost) {
		t.Errorf("a gap: got %v", err)
	}
	if got := f.Log(run); got != "one\r\ntwo\r\nthree\r\n" {
		t.Errorf("log %q", got)
	}
}

// renew calls Renew until it says something else than "again".
func renew(ctx context.Context, f Fixture, key lease.Key) error {
	for {
		if err := f.Leaser.Renew(ctx, key); err != nil {
			return err
		}
	}
}

func cancelWakes(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	woke := make(chan error, 1)
	go func() { woke <- renew(ctx, f, key) }()
	f.Cancel(run)
	wantErr(t, "renew", <-woke, lease.ErrCanceled)
}

func cancelBefore(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	f.Cancel(run)
	wantErr(t, "renew", renew(t.Context(), f, key), lease.ErrCanceled)
	// The agent still holds the lease: it must be able to say how the run ended.
	must(t, f.Leaser.AppendLog(t.Context(), key, 0, []byte("stopped\r\n")))
}

func cancelQueued(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	f.Cancel(run)
	wantStatus(t, f, run, "Canceled")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if l, err := f.Leaser.Acquire(ctx, agent); err == nil {
		t.Errorf("an agent got %+v", l.Key)
	}
}

func completeCanceled(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	f.Cancel(run)
	must(t, f.Leaser.Complete(t.Context(), key, lease.Result{Status: lease.Canceled}))
	wantStatus(t, f, run, "Canceled")
}

func completeEarly(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	must(t, f.Leaser.Complete(t.Context(), key, lease.Result{Status: lease.Failed, Message: "no context"}))
	wantStatus(t, f, run, "Failed")
}

// wantLost checks that nothing can be written with a key any more.
func wantLost(t *testing.T, f Fixture, key lease.Key) {
	t.Helper()
	ctx := t.Context()
	wantErr(t, "renew", renew(ctx, f, key), lease.ErrLost)
	wantErr(t, "report", f.Leaser.Report(ctx, key, lease.Progress{Stage: lease.Running}), lease.ErrLost)
	wantErr(t, "append", f.Leaser.AppendLog(ctx, key, int64(len(f.Log(key.Run))), []byte("late\r\n")), lease.ErrLost)
	wantErr(t, "complete", f.Leaser.Complete(ctx, key, lease.Result{Status: lease.Succeeded}), lease.ErrLost)
	_, err := f.Leaser.Token(ctx, key, lease.TokenRequest{Audience: "https://management.azure.com/"})
	wantErr(t, "token", err, lease.ErrLost)
}

func lost(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	must(t, f.Leaser.AppendLog(t.Context(), key, 0, []byte("one\r\n")))
	f.Expire(run)
	wantLost(t, f, key)
	wantStatus(t, f, run, "Error")
	// The control plane may add why the run ended, and loses nothing.
	if got := f.Log(run); !strings.HasPrefix(got, "one\r\n") || strings.Contains(got, "late") {
		t.Errorf("log %q", got)
	}
}

func completeTwice(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	must(t, f.Leaser.Complete(t.Context(), key, lease.Result{Status: lease.Failed, Message: "first"}))
	wantLost(t, f, key)
	wantStatus(t, f, run, "Failed")
}

func foreignKey(t *testing.T, f Fixture) {
	run := f.Queue(job("cf1"))
	key := acquire(t, f).Key
	key.Fence++
	wantLost(t, f, key)
	wantStatus(t, f, run, "Started")
}

func renewEnds(t *testing.T, f Fixture) {
	f.Queue(job("cf1"))
	key := acquire(t, f).Key
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "renew", renew(ctx, f, key), context.Canceled)
}

package agent

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// outage is a control plane whose store may be away.
type outage struct {
	lease.Leaser
	away                      atomic.Bool
	renewals, ends, logs, ids chan bool // have a value for each call in vain
}

func newOutage(l lease.Leaser) *outage {
	calls := func() chan bool { return make(chan bool, 1000) }
	return &outage{Leaser: l, renewals: calls(), ends: calls(), logs: calls(), ids: calls()}
}

func (o *outage) failed(calls chan bool) error {
	if !o.away.Load() {
		return nil
	}
	calls <- true
	return problem.NewAway("there", errors.New("connection refused"))
}

func (o *outage) Renew(ctx context.Context, key lease.Key) error {
	if err := o.failed(o.renewals); err != nil {
		return err
	}
	return o.Leaser.Renew(ctx, key)
}

func (o *outage) AppendLog(ctx context.Context, key lease.Key, offset int64, p []byte) error {
	if err := o.failed(o.logs); err != nil {
		return err
	}
	return o.Leaser.AppendLog(ctx, key, offset, p)
}

func (o *outage) Token(ctx context.Context, key lease.Key, request lease.TokenRequest) (lease.AccessToken, error) {
	if err := o.failed(o.ids); err != nil {
		return lease.AccessToken{}, err
	}
	return o.Leaser.Token(ctx, key, request)
}

func (o *outage) Complete(ctx context.Context, key lease.Key, result lease.Result) error {
	if err := o.failed(o.ends); err != nil {
		return err
	}
	return o.Leaser.Complete(ctx, key, result)
}

// A run whose control plane has no store for longer than its lease counts goes on, writes its
// log, and ends as it ends.
func TestStoreAwayDuringARun(t *testing.T) {
	rig := newRig(t)
	rig.leaser.Term = 300 * time.Millisecond
	control := newOutage(rig.leaser)
	rig.fake.OnCommand = func(ctx context.Context, _ engine.Command, out io.Writer) (engine.CommandResult, error) {
		control.away.Store(true)
		_, err := io.WriteString(out, "said meanwhile\n")
		for range 3 { // a second from one to the next
			<-control.renewals
		}
		return engine.CommandResult{}, errors.Join(err, context.Cause(ctx))
	}
	run := rig.leaser.Queue(job(oneStep))
	go func() {
		<-control.logs
		for range 4 { // after the run has ended, so that its end is what is kept from being told
			<-control.renewals
		}
		control.away.Store(false)
	}()
	agent := New(Options{Leaser: control, Executor: rig.fake, Dialer: rig.dialer, Root: rig.root})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx) }()
	result := rig.result(run)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	log := rig.leaser.Log(run)
	whole := strings.Contains(log, "said meanwhile\r\n") && strings.Contains(log, "was successful")
	if result.Status != lease.Succeeded || !whole {
		t.Errorf("%+v %s", result, log)
	}
}

// A token is waited for while the store is away: a login does not fail for it.
func TestTokenWhileStoreIsAway(t *testing.T) {
	rig := newRig(t)
	rig.leaser.OnToken = func(string, lease.TokenRequest) (lease.AccessToken, error) {
		return lease.AccessToken{Token: secret.New("good")}, nil
	}
	control := newOutage(rig.leaser)
	rig.leaser.Queue(job(oneStep))
	acquired, err := rig.leaser.Acquire(t.Context(), lease.Agent{OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	agent := New(Options{Leaser: control, Dialer: rig.dialer, Root: rig.root})
	r := agent.newRun(acquired, newSink(t.Context(), rig.leaser, acquired.Key))
	control.away.Store(true)
	go func() {
		for range 3 {
			<-control.ids
		}
		control.away.Store(false)
	}()
	token, err := r.token(t.Context(), lease.TokenRequest{})
	if err != nil || token.Token.Reveal() != "good" {
		t.Errorf("%v, %v", token, err)
	}
}

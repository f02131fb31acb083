package leasetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// Memory is a Leaser that keeps runs in memory. Term is the length of a lease; zero
// is a minute. OnToken answers Token; nil refuses. Both are set before first use.
type Memory struct {
	Term    time.Duration
	OnToken func(run string, request lease.TokenRequest) (lease.AccessToken, error)

	mu      sync.Mutex
	runs    map[string]*memoryRun
	queue   []string
	changed chan struct{} // closed and replaced whenever something changes
	fence   int64
}

type memoryRun struct {
	job      lease.Job
	status   string
	fence    int64
	canceled bool
	log      []byte
	result   lease.Result
	steps    map[string][]string // states of each step, in order
}

var _ lease.Leaser = (*Memory)(nil)

// lock makes a zero Memory usable and returns the unlocking function.
func (m *Memory) lock() func() {
	m.mu.Lock()
	if m.runs == nil {
		m.runs = map[string]*memoryRun{}
		m.changed = make(chan struct{})
	}
	return m.mu.Unlock
}

// wake tells all who wait that something changed. The lock is held.
func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// wait waits for a change. The lock is not held.
func wait(ctx context.Context, changed <-chan struct{}, limit time.Duration) (timedOut bool, err error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-changed:
		return false, nil
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// Queue queues a run and returns the ID that its key will have.
func (m *Memory) Queue(job lease.Job) string {
	defer m.lock()()
	id := "/runs/" + job.RunID
	m.runs[id] = &memoryRun{job: job, status: "Queued", steps: map[string][]string{}}
	m.queue = append(m.queue, id)
	m.wake()
	return id
}

// Cancel asks for a run to be canceled.
func (m *Memory) Cancel(run string) {
	defer m.lock()()
	r := m.runs[run]
	r.canceled = true
	if i := slices.Index(m.queue, run); i >= 0 {
		m.queue = slices.Delete(m.queue, i, i+1)
		r.status = string(lease.Canceled)
	}
	m.wake()
}

// Expire ends a run as if its agent had been silent for too long.
func (m *Memory) Expire(run string) {
	defer m.lock()()
	m.runs[run].status, m.runs[run].fence = string(lease.Error), 0
	m.wake()
}

// Status returns the state of a run.
func (m *Memory) Status(run string) string {
	defer m.lock()()
	return m.runs[run].status
}

// Log returns the log of a run.
func (m *Memory) Log(run string) string {
	defer m.lock()()
	return string(m.runs[run].log)
}

// Steps returns the states that a step of a run has had.
func (m *Memory) Steps(run, step string) []string {
	defer m.lock()()
	return slices.Clone(m.runs[run].steps[step])
}

// Result waits until a run has ended and returns how.
func (m *Memory) Result(ctx context.Context, run string) (lease.Result, error) {
	for {
		unlock := m.lock()
		r, changed := m.runs[run], m.changed
		ended, result := r.fence == 0 && r.status != "Queued", r.result
		unlock()
		if ended {
			return result, nil
		}
		if _, err := wait(ctx, changed, time.Hour); err != nil {
			return lease.Result{}, err
		}
	}
}

// Acquire implements lease.Leaser.
func (m *Memory) Acquire(ctx context.Context, _ lease.Agent) (*lease.Lease, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		l, changed := m.next()
		if l != nil {
			return l, nil
		}
		if _, err := wait(ctx, changed, time.Hour); err != nil {
			return nil, err
		}
	}
}

func (m *Memory) next() (*lease.Lease, <-chan struct{}) {
	defer m.lock()()
	if len(m.queue) == 0 {
		return nil, m.changed
	}
	id := m.queue[0]
	m.queue = m.queue[1:]
	m.fence++
	r := m.runs[id]
	r.status, r.fence = "Started", m.fence
	return &lease.Lease{Key: lease.Key{Run: id, Fence: m.fence}, Deadline: time.Now().Add(m.term()), Job: r.job}, nil
}

func (m *Memory) term() time.Duration {
	if m.Term > 0 {
		return m.Term
	}
	return time.Minute
}

// held returns the run of a key. The lock is held.
func (m *Memory) held(ctx context.Context, key lease.Key) (*memoryRun, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := m.runs[key.Run]
	if r == nil || r.fence == 0 || r.fence != key.Fence {
		return nil, lease.ErrLost
	}
	return r, nil
}

// Renew implements lease.Leaser.
func (m *Memory) Renew(ctx context.Context, key lease.Key) error {
	for end := time.Now().Add(m.term() / 2); ; {
		unlock := m.lock()
		r, err := m.held(ctx, key)
		changed := m.changed
		if err == nil && r.canceled {
			err = lease.ErrCanceled
		}
		unlock()
		if err != nil {
			return err
		}
		if timedOut, err := wait(ctx, changed, time.Until(end)); timedOut || err != nil {
			return err
		}
	}
}

// Report implements lease.Leaser.
func (m *Memory) Report(ctx context.Context, key lease.Key, progress lease.Progress) error {
	defer m.lock()()
	r, err := m.held(ctx, key)
	if err != nil {
		return err
	}
	r.status = string(progress.Stage)
	for _, step := range progress.Steps {
		if states := r.steps[step.ID]; len(states) == 0 || states[len(states)-1] != step.State {
			r.steps[step.ID] = append(states, step.State)
		}
	}
	m.wake()
	return nil
}

// AppendLog implements lease.Leaser.
func (m *Memory) AppendLog(ctx context.Context, key lease.Key, offset int64, p []byte) error {
	defer m.lock()()
	r, err := m.held(ctx, key)
	if err != nil {
		return err
	}
	if offset < 0 || offset > int64(len(r.log)) {
		return fmt.Errorf("the log has %d bytes, not %d", len(r.log), offset)
	}
	known := r.log[offset:]
	n := min(len(known), len(p))
	if !bytes.Equal(known[:n], p[:n]) {
		return fmt.Errorf("other bytes stand at offset %d of the log", offset)
	}
	r.log = append(r.log, p[n:]...)
	m.wake()
	return nil
}

// Token implements lease.Leaser.
func (m *Memory) Token(ctx context.Context, key lease.Key, request lease.TokenRequest) (lease.AccessToken, error) {
	unlock := m.lock()
	_, err := m.held(ctx, key)
	unlock()
	if err != nil {
		return lease.AccessToken{}, err
	}
	if m.OnToken == nil {
		return lease.AccessToken{}, problem.New(problem.NotFound, "IdentityNotFound", "the run has no identity")
	}
	return m.OnToken(key.Run, request)
}

// StaticToken returns an answer for OnToken.
func StaticToken(text, clientID string) lease.AccessToken {
	now := time.Now()
	return lease.AccessToken{Token: secret.New(text), ClientID: clientID, NotBefore: now, ExpiresAt: now.Add(time.Hour)}
}

// Complete implements lease.Leaser.
func (m *Memory) Complete(ctx context.Context, key lease.Key, result lease.Result) error {
	defer m.lock()()
	r, err := m.held(ctx, key)
	if err != nil {
		return err
	}
	r.status, r.result, r.fence = string(result.Status), result, 0
	m.wake()
	return nil
}

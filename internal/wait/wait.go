// Package wait has what goroutines wait for: a time, a bell, or the end of their context.
package wait

import (
	"context"
	"sync"
	"time"
)

// For waits for d. If ctx ends first it returns the cause. A wait of nothing is over at once,
// whatever ctx says.
func For(ctx context.Context, d time.Duration) error { return Until(ctx, d, nil) }

// Until is For, but a bell, if there is one, ends the wait as well.
func Until(ctx context.Context, d time.Duration, rung <-chan struct{}) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	case <-rung:
	}
	return nil
}

// Bell wakes all who wait for its next ring. The zero value is one. Its methods may be called
// at any time.
type Bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// Rung returns a channel that is closed at the next ring. Take it before looking at what may
// change.
func (b *Bell) Rung() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

// Ring wakes who waits.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

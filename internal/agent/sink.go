package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/wait"
)

// Sizes and times of the log on its way to the control plane.
const (
	flushEvery  = 100 * time.Millisecond
	flushBytes  = 256 << 10 // of one call
	bufferBytes = 4 << 20   // after that, who writes waits
	retryFirst  = 100 * time.Millisecond
	retryMost   = 2 * time.Second
)

// sink sends a run's log to the control plane, in lines that end in CR LF. The
// first bytes after a pause go at once; what follows is gathered for flushEvery.
type sink struct {
	leaser lease.Leaser
	key    lease.Key

	mu     sync.Mutex
	room   *sync.Cond
	buffer []byte
	last   byte
	closed bool
	dead   bool // nobody takes the log any more

	more    chan struct{} // has a value when there is something to do
	full    chan struct{} // has a value when there is enough for a call
	closing chan struct{}
	done    chan struct{}
}

// newSink starts sending. The caller closes the sink.
func newSink(ctx context.Context, leaser lease.Leaser, key lease.Key) *sink {
	s := &sink{leaser: leaser, key: key, more: make(chan struct{}, 1), full: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{})}
	s.room = sync.NewCond(&s.mu)
	go s.pump(ctx)
	return s
}

// Write implements io.Writer. It waits while the control plane is slower than the
// run, and fails never: after a lost lease, what is written is dropped.
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buffer) > bufferBytes && !s.dead && !s.closed {
		s.room.Wait()
	}
	if s.dead {
		return len(p), nil
	}
	for _, c := range p {
		if c == '\n' && s.last != '\r' {
			s.buffer = append(s.buffer, '\r')
		}
		s.buffer = append(s.buffer, c)
		s.last = c
	}
	signal(s.more)
	if len(s.buffer) >= flushBytes {
		signal(s.full)
	}
	return len(p), nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close sends what is left and waits until it has arrived, or ctx ended.
func (s *sink) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	close(s.closing)
	signal(s.more)
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.dead {
		return lease.ErrLost
	}
	return nil
}

// pump sends until the sink is closed and empty.
func (s *sink) pump(ctx context.Context) {
	defer close(s.done)
	var offset int64
	for {
		chunk, closed := s.take()
		if len(chunk) == 0 {
			if closed {
				return
			}
			<-s.more
			continue
		}
		started := time.Now()
		if err := s.send(ctx, offset, chunk); err != nil {
			s.die()
			return
		}
		offset += int64(len(chunk))
		if !closed {
			s.gather(flushEvery - time.Since(started))
		}
	}
}

// gather lets more come together before the next call, unless there is enough for it
// or the sink is closed.
func (s *sink) gather(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.full:
	case <-s.closing:
	}
}

// take removes the next piece to send from the buffer.
func (s *sink) take() (chunk []byte, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.buffer), flushBytes)
	chunk = append(chunk, s.buffer[:n]...)
	s.buffer = append(s.buffer[:0], s.buffer[n:]...)
	if len(s.buffer) >= flushBytes {
		signal(s.full)
	}
	s.room.Broadcast()
	return chunk, s.closed
}

// send appends a piece, again and again if need be: an append is idempotent.
func (s *sink) send(ctx context.Context, offset int64, chunk []byte) error {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := s.leaser.AppendLog(ctx, s.key, offset, chunk)
		if err == nil || errors.Is(err, lease.ErrLost) || ctx.Err() != nil {
			return err
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
	}
}

func (s *sink) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead, s.buffer = true, nil
	s.room.Broadcast()
}

package memo_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acrux/acrux/internal/memo"
)

// store has one value, which is written before its generation grows.
type store struct {
	value, generation, reads atomic.Uint64
	closed                   atomic.Bool
}

func (s *store) write(v uint64) {
	s.value.Store(v)
	s.generation.Add(1)
}

func (s *store) load(context.Context) (uint64, error) {
	s.reads.Add(1)
	return s.value.Load(), nil
}

func (s *store) now(context.Context) (uint64, bool) { return s.generation.Load(), !s.closed.Load() }

func TestGet(t *testing.T) {
	var s store
	m := memo.New[string, uint64](s.now, 10, nil)
	get := func(want, reads uint64) {
		t.Helper()
		if v, err := m.Get(t.Context(), "k", s.load); err != nil || v != want || s.reads.Load() != reads {
			t.Errorf("%d, %v after %d reads, want %d after %d", v, err, s.reads.Load(), want, reads)
		}
	}
	get(0, 1)
	get(0, 1)
	s.write(5)
	get(5, 2)
	get(5, 2)
	s.closed.Store(true)
	get(5, 3)
	get(5, 4)
	s.closed.Store(false)
	s.write(6)
	if _, err := m.Get(t.Context(), "k", func(context.Context) (uint64, error) { return 0, errors.New("no") }); err == nil {
		t.Error("an error is lost")
	}
	get(6, 5)
	var none *memo.Memo[string, uint64]
	if v, err := none.Get(t.Context(), "k", s.load); v != 6 || err != nil {
		t.Error(v, err)
	}
}

// A reader that was overtaken by a change does not spoil what is remembered.
func TestOvertaken(t *testing.T) {
	var s store
	m := memo.New[string, uint64](s.now, 10, nil)
	v, err := m.Get(t.Context(), "k", func(ctx context.Context) (uint64, error) {
		old, err := s.load(ctx)
		s.write(7)
		return old, err
	})
	if v != 0 || err != nil {
		t.Error(v, err)
	}
	if v, _ := m.Get(t.Context(), "k", s.load); v != 7 {
		t.Errorf("the old value %d is remembered", v)
	}
}

// What a writer was told is done is what everybody sees from then on.
func TestNeverOld(t *testing.T) {
	var s store
	m := memo.New[string, uint64](s.now, 10, nil)
	var done atomic.Uint64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				told := done.Load()
				if v, _ := m.Get(t.Context(), "k", s.load); v < told {
					t.Errorf("%d after %d", v, told)
					return
				}
			}
		})
	}
	for i := range uint64(20_000) {
		s.write(i + 1)
		done.Store(i + 1)
	}
	close(stop)
	wg.Wait()
}

func TestBudget(t *testing.T) {
	var loads int
	m := memo.New[int, int](memo.Never, 10, func(v int) int { return v })
	get := func(key, cost int) {
		_, _ = m.Get(t.Context(), key, func(context.Context) (int, error) { loads++; return cost, nil })
	}
	for _, step := range []struct{ key, cost, loads int }{{1, 4, 1}, {2, 4, 2}, {1, 4, 2}, {3, 11, 3}, {3, 11, 4}, {2, 4, 4}, {4, 4, 5}, {4, 4, 5}, {1, 4, 6}} {
		if get(step.key, step.cost); loads != step.loads {
			t.Errorf("%v after %d loads", step, loads)
		}
	}
}

// A request asks once, another one asks again, and whoever is none asks each time.
func TestOnce(t *testing.T) {
	asked := uint64(0)
	ask := func(context.Context) (uint64, bool) { asked++; return asked, true }
	one, two := memo.Once(t.Context()), memo.Once(t.Context())
	for _, ctx := range []context.Context{one, one, two, one, t.Context(), t.Context(), two} {
		memo.Asked(ctx, ask)
	}
	if n, ok := memo.Asked(two, ask); asked != 4 || n != 2 || !ok {
		t.Errorf("asked %d times, the second request has %d, %v", asked, n, ok)
	}
}

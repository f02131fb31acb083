// Package memo remembers what was read from a store for as long as nothing was written.
//
// A store has generations: numbers that grow with every commit, before the commit is
// answered. What was read is remembered with the generation from before it was read, and
// counts only while that is the present one. So whoever was told of a change never meets
// what was before it, and a reader that was overtaken by a change is not believed later.
package memo

import (
	"context"
	"sync"
	"time"
)

// Generation returns the present generation of what is remembered. It is false where
// nothing may be remembered: inside a transaction, which sees what others do not, or
// where others write to the store.
type Generation func(ctx context.Context) (uint64, bool)

// Never is the generation of what does not change.
func Never(context.Context) (uint64, bool) { return 0, true }

// asked is a generation that was asked for by a request.
type asked struct {
	mu         sync.Mutex
	generation uint64
	ok         bool
	until      time.Time
}

type askedKey struct{}

// askAgain is how long a request believes what it was told.
const askAgain = time.Second

// Once returns the context of a request, in which Asked asks once for a while. What others
// change after that is not seen by this request; nobody was told of it when it came.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, askedKey{}, new(asked)) }

// Asked returns a generation that has a long way: what ask returns, or has returned in this
// request.
func Asked(ctx context.Context, ask func(context.Context) (uint64, bool)) (uint64, bool) {
	a, ok := ctx.Value(askedKey{}).(*asked)
	if !ok {
		return ask(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.After(a.until) {
		a.generation, a.ok = ask(ctx)
		a.until = now.Add(askAgain)
	}
	return a.generation, a.ok
}

// Memo remembers values by key. It is safe for concurrent use; values must not be changed.
type Memo[K comparable, V any] struct {
	generation Generation
	budget     int
	cost       func(V) int

	mu      sync.RWMutex
	entries map[K]entry[V]
	spent   int
}

type entry[V any] struct {
	value      V
	generation uint64
}

// New returns an empty memo. It forgets everything when the cost of what it has exceeds
// the budget; nil says that each entry costs 1.
func New[K comparable, V any](generation Generation, budget int, cost func(V) int) *Memo[K, V] {
	if cost == nil {
		cost = func(V) int { return 1 }
	}
	return &Memo[K, V]{generation: generation, budget: budget, cost: cost, entries: map[K]entry[V]{}}
}

// Get returns what is remembered under a key, or what load returns. An error is not
// remembered. A nil Memo remembers nothing.
func (m *Memo[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	if m == nil {
		return load(ctx)
	}
	now, ok := m.generation(ctx)
	if !ok {
		return load(ctx)
	}
	m.mu.RLock()
	e, known := m.entries[key]
	m.mu.RUnlock()
	if known && e.generation == now {
		return e.value, nil
	}
	value, err := load(ctx)
	if err == nil {
		m.put(key, entry[V]{value, now})
	}
	return value, err
}

func (m *Memo[K, V]) put(key K, e entry[V]) {
	cost := m.cost(e.value)
	if cost > m.budget {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, known := m.entries[key]; known {
		m.spent -= m.cost(old.value)
	}
	if m.spent+cost > m.budget {
		clear(m.entries)
		m.spent = 0
	}
	m.entries[key] = e
	m.spent += cost
}

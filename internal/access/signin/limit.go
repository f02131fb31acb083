package signin

import (
	"sync"
	"time"
)

// Limit bounds how often something may be tried under a key: so many times at once, and
// then once in each Every. Its zero value permits nothing; Times and Every are set
// before first use. It is safe for concurrent use and forgets keys, oldest first, when
// there are many.
type Limit struct {
	Times int
	Every time.Duration

	mu   sync.Mutex
	full map[string]time.Time // when the key will have all its tries again
}

// maxKeys bounds what a limit remembers.
const maxKeys = 10_000

// Take uses up a try, and reports whether there was one.
func (l *Limit) Take(key string, now time.Time) bool { return l.take(key, 1, now) }

// take uses up n tries at once, or none.
func (l *Limit) take(key string, n int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.full[key]
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Duration(n) * l.Every)
	if l.Times < n || full.Sub(now) > time.Duration(l.Times)*l.Every {
		return false
	}
	if l.full == nil {
		l.full = map[string]time.Time{}
	}
	if len(l.full) >= maxKeys {
		l.forget(now)
	}
	l.full[key] = full
	return true
}

// left reports whether n tries are left.
func (l *Limit) left(key string, n int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full[key].Sub(now) <= time.Duration(l.Times-n)*l.Every
}

// Return gives a try back that was not one: the password was right.
func (l *Limit) Return(key string) { l.giveBack(key, 1) }

func (l *Limit) giveBack(key string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, ok := l.full[key]; ok {
		l.full[key] = full.Add(-time.Duration(n) * l.Every)
	}
}

// forget drops the keys that have all their tries, and if there are none such the one
// that has most of them.
func (l *Limit) forget(now time.Time) {
	var first string
	for key, full := range l.full {
		if !full.After(now) {
			delete(l.full, key)
		} else if first == "" || full.Before(l.full[first]) {
			first = key
		}
	}
	if len(l.full) >= maxKeys {
		delete(l.full, first)
	}
}

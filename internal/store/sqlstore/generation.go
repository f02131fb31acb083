package sqlstore

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"time"
)

// topic is a part of the database of which it is known when it changed.
type topic int

const (
	everything topic = iota // all but the content of registries
	contents                // the content of registries
	topics
)

// generations count the commits, by topic. A statement counts as a change of everything
// unless it says that it concerns contents alone, so one that is forgotten costs time and
// is never wrong.
type generations struct {
	numbers [topics]atomic.Uint64
	looked  atomic.Int64 // when others' commits were looked for, in Unix nanoseconds
}

// othersEvery is how often commits of other processes are looked for: those of commands
// that an administrator starts beside a running server.
const othersEvery = 100 * time.Millisecond

func (g *generations) grow(what topic) {
	g.numbers[contents].Add(1)
	if what == everything {
		g.numbers[everything].Add(1)
	}
}

// Generation is a memo.Generation of everything but the content of registries.
func (db *DB) Generation(ctx context.Context) (uint64, bool) { return db.generation(ctx, everything) }

// Generation is a memo.Generation of the content of registries.
func (s Registry) Generation(ctx context.Context) (uint64, bool) { return s.generation(ctx, contents) }

func (db *DB) generation(ctx context.Context, what topic) (uint64, bool) {
	if unitOf(ctx) != nil {
		return 0, false
	}
	if now, last := time.Now().UnixNano(), db.generations.looked.Load(); now-last > int64(othersEvery) && db.generations.looked.CompareAndSwap(last, now) {
		if db.backend.othersCommitted() {
			db.generations.grow(everything)
		}
	}
	return db.backend.generation(ctx, what, db.generations.numbers[what].Load)
}

// exec is DB.exec for statements that concern the content of registries alone.
func (s Registry) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return s.DB.change(ctx, contents, query, args...)
}

// add is DB.add for such statements.
func (s Registry) add(ctx context.Context, query string, args ...any) error {
	return s.DB.add(ctx, contents, waiting{statement: statement{query, args}})
}

// need is add for a statement that touches a row, or has the error.
func (s Registry) need(ctx context.Context, missing error, query string, args ...any) error {
	return s.DB.add(ctx, contents, waiting{statement: statement{query, args}, touched: func(n int64) error {
		return none(n, nil, missing)
	}})
}

func (s Registry) addAll(ctx context.Context, all []statement) error {
	return s.DB.addAllOf(ctx, contents, all)
}

// watcher sees that others commit to a database of SQLite's: a number that PRAGMA
// data_version has grows with the commits of all connections but the one that asks.
type watcher struct {
	conn *sql.Conn

	mu   sync.Mutex
	last int64
}

func (w *watcher) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var now int64
	if err := w.conn.QueryRowContext(context.Background(), `PRAGMA data_version`).Scan(&now); err != nil {
		return true
	}
	changed := now != w.last
	w.last = now
	return changed
}

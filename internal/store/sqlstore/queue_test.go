package sqlstore_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/jobs"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// bench is a database with a queue of jobs of the kind "errand", and what was done.
type bench struct {
	*sqlstore.Queue
	t     *testing.T
	db    *sqlstore.DB
	where string
	work  func(ctx context.Context, j jobs.Job) error // nil: they are done at once

	mu   sync.Mutex
	done []string
	some chan struct{}
}

func newBench(t *testing.T) *bench {
	where := sqlstoretest.Where(t)
	return benchOn(t, where, "server")
}

func benchOn(t *testing.T, where, server string) *bench {
	t.Helper()
	b := &bench{t: t, where: where, db: open(t, where), some: make(chan struct{}, 1)}
	var err error
	b.Queue, err = sqlstore.NewQueue(b.db, server, slog.New(slog.DiscardHandler))
	must(t, err)
	b.Handle(jobs.Kind{Name: "errand", AtOnce: 2, Attempts: 2, Timeout: time.Minute, Work: func(ctx context.Context, j jobs.Job) error {
		if b.work != nil {
			if err := b.work(ctx, j); err != nil {
				return err
			}
		}
		b.note(j.Subject)
		return nil
	}})
	return b
}

// note writes down that something was done.
func (b *bench) note(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = append(b.done, what)
	select {
	case b.some <- struct{}{}:
	default:
	}
}

// run works until stop is called.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); must(b.t, <-ended) })
	b.t.Cleanup(stop)
	return stop
}

// until waits until those things were done, in any order.
func (b *bench) until(want ...string) {
	b.t.Helper()
	got := b.when(func(done []string) bool { return len(done) >= len(want) })
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Error(diff)
	}
}

// when waits until what was done, in order of the alphabet, is enough, and returns it.
func (b *bench) when(enough func(done []string) bool) []string {
	b.t.Helper()
	for {
		b.mu.Lock()
		got := slices.Sorted(slices.Values(b.done))
		b.mu.Unlock()
		if enough(got) {
			return got
		}
		select {
		case <-b.some:
		case <-time.After(30 * time.Second):
			b.t.Fatalf("done was %v", got)
		}
	}
}

// times counts something that was done.
func times(done []string, what string) (n int) {
	for _, one := range done {
		if one == what {
			n++
		}
	}
	return n
}

func (b *bench) enqueue(ctx context.Context, subjects ...string) error {
	for _, subject := range subjects {
		if err := b.Enqueue(ctx, "errand", subject); err != nil {
			return err
		}
	}
	return nil
}

// A job is part of the transaction that asks for it, and there is one for a subject.
func TestQueueJoinsTransactions(t *testing.T) {
	b := newBench(t)
	failure := errors.New("no")
	err := b.db.InTx(t.Context(), func(ctx context.Context) error {
		return errors.Join(keep(ctx, b.db, "x"), b.enqueue(ctx, "never"), failure)
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	must(t, b.db.InTx(t.Context(), func(ctx context.Context) error { return errors.Join(keep(ctx, b.db, "y"), b.enqueue(ctx, "a", "b")) }))
	must(t, b.enqueue(t.Context(), "a", "c", "a"))
	if err := b.Enqueue(t.Context(), "unheard-of", "a"); err == nil {
		t.Error("there are jobs of any kind")
	}
	b.run()
	b.until("a", "b", "c")
	for len(sqlstoretest.Texts(t, b.where, `SELECT state FROM river_job WHERE state <> 'completed'`)) > 0 {
		time.Sleep(10 * time.Millisecond) // River writes it down a little later
	}
	must(t, b.enqueue(t.Context(), "a", "d")) // a was done, and may be asked for again
	b.until("a", "a", "b", "c", "d")
}

// An error is followed by another attempt, which knows that it is the last; a panic is an
// error, and others' jobs go on.
func TestQueueTriesAgain(t *testing.T) {
	b := newBench(t)
	b.work = func(_ context.Context, j jobs.Job) error {
		switch {
		case j.Subject == "good":
			return nil
		case j.Last:
			b.note(j.Subject + " for the last time")
			return errors.New("for good")
		case j.Subject == "panics":
			panic("boom")
		}
		b.note(j.Subject + " failed")
		return errors.New("not yet")
	}
	must(t, b.enqueue(t.Context(), "bad", "panics", "good"))
	b.run()
	b.until("bad failed", "bad for the last time", "good", "panics for the last time")
}

// What the end of the server cuts off is done by its successor, and counts for nothing.
func TestQueueIsCutOff(t *testing.T) {
	b := newBench(t)
	begun := make(chan struct{}, 1)
	b.work = func(ctx context.Context, j jobs.Job) error {
		begun <- struct{}{}
		<-ctx.Done()
		return errors.New("something else")
	}
	must(t, b.enqueue(t.Context(), "long"))
	for range 3 { // more often than it may fail
		stop := b.run()
		<-begun
		stop()
	}
	b.work = func(_ context.Context, j jobs.Job) error {
		if j.Last {
			b.note("counted")
		}
		return nil
	}
	b.run()
	b.until("long")
}

// What a killed server had under way is taken up when it starts again.
func TestQueueAfterAKill(t *testing.T) {
	b := newBench(t)
	must(t, b.enqueue(t.Context(), "mine", "another's"))
	array := map[bool]string{false: `'["%"]'`, true: `'{%}'`}[sqlstoretest.Postgres()]
	for subject, server := range map[string]string{"mine": "server", "another''s": "another"} {
		changed := sqlstoretest.Texts(t, b.where, `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = CURRENT_TIMESTAMP, attempted_by = `+strings.Replace(array, "%", server, 1)+
			` WHERE CAST(args AS TEXT) LIKE '%`+subject+`%' RETURNING state`)
		if len(changed) != 1 {
			t.Fatalf("%d jobs of %s", len(changed), subject)
		}
	}
	b.work = func(_ context.Context, j jobs.Job) error {
		if j.Last {
			b.note("counted")
		}
		return nil
	}
	b.run()
	if sqlstoretest.Postgres() {
		b.until("mine")
		return
	}
	b.until("another's", "mine") // there is no other
}

// Periodic work is done at once and then once in a period, whichever server starts when.
func TestQueueRepeats(t *testing.T) {
	where := sqlstoretest.Where(t)
	long := 24 * time.Hour
	for time.Until(time.Now().Truncate(long).Add(long)) < time.Minute {
		long += time.Hour // it is not to end in the middle of this
	}
	for i := range 2 {
		b := benchOn(t, where, "server")
		b.Repeat(jobs.Periodic{Name: "sweep", Every: long, Work: func(context.Context, time.Time) error { b.note("swept"); return nil }})
		b.Repeat(jobs.Periodic{Name: "tick", Every: time.Second, Work: func(context.Context, time.Time) error { b.note("tick"); return nil }})
		stop := b.run()
		done := b.when(func(done []string) bool { return times(done, "tick") >= 2+i && times(done, "swept") >= 1-i })
		if n := times(done, "swept"); n != 1-i {
			t.Errorf("start %d: it was done %d times", i, n)
		}
		stop()
	}
}

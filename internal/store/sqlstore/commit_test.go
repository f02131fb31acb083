package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// keep writes a setting in a transaction of its own or in ctx's.
func keep(ctx context.Context, db *sqlstore.DB, name string) error {
	_, err := db.Setting(ctx, name, func() string { return "kept" })
	return err
}

// kept reports whether a setting is there, without making it.
func kept(t *testing.T, db *sqlstore.DB, name string) bool {
	t.Helper()
	absent := errors.New("absent")
	found := false
	err := db.InTx(t.Context(), func(ctx context.Context) error {
		value, err := db.Setting(ctx, name, func() string { return "made just now" })
		found = value == "kept"
		return errors.Join(err, absent)
	})
	if !errors.Is(err, absent) {
		t.Fatal(err)
	}
	return found
}

// hold occupies the writer until release is called, so that what comes meanwhile
// waits together and is committed as one group.
func hold(t *testing.T, db *sqlstore.DB) (release func()) {
	t.Helper()
	entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.InTx(context.WithoutCancel(t.Context()), func(context.Context) error {
			close(entered)
			<-leave
			return nil
		})
	}()
	<-entered
	return sync.OnceFunc(func() {
		close(leave)
		must(t, <-done)
	})
}

// One that fails and one that panics take nothing from the others of their group.
func TestGroupCommitKeepsApart(t *testing.T) {
	db := open(t, sqlstoretest.Where(t))
	release := hold(t, db)
	failure := errors.New("mine alone")
	const n = 40
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			errs[i] = db.InTx(t.Context(), func(ctx context.Context) error {
				if err := keep(ctx, db, fmt.Sprint("s", i)); err != nil {
					return err
				}
				switch i {
				case 7:
					return failure
				case 11:
					panic("boom")
				}
				return nil
			})
		})
	}
	release()
	group.Wait()
	for i, err := range errs {
		bad := i == 7 || i == 11
		if (err != nil) != bad || kept(t, db, fmt.Sprint("s", i)) == bad {
			t.Errorf("transaction %d: error %v, kept %v", i, err, kept(t, db, fmt.Sprint("s", i)))
		}
	}
	if !errors.Is(errs[7], failure) || !strings.Contains(fmt.Sprint(errs[11]), "boom") {
		t.Errorf("the errors are %v and %v", errs[7], errs[11])
	}
}

func TestCanceledWhileWaiting(t *testing.T) {
	db := open(t, sqlstoretest.Where(t))
	release := hold(t, db)
	defer release()
	why := errors.New("no more")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() { result <- keep(ctx, db, "late") }()
	cancel(why)
	release()
	if err := <-result; !errors.Is(err, why) {
		t.Errorf("the error is %v", err)
	}
	if kept(t, db, "late") {
		t.Error("what was canceled was written")
	}
}

// A caller that goes away in the middle does not take the group's transaction along.
func TestCanceledInside(t *testing.T) {
	db := open(t, sqlstoretest.Where(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := db.InTx(ctx, func(ctx context.Context) error {
		cancel()
		return keep(ctx, db, "half")
	})
	if err != nil || !kept(t, db, "half") {
		t.Errorf("error %v, kept %v", err, kept(t, db, "half"))
	}
}

func TestCloseWhileBusy(t *testing.T) {
	where := sqlstoretest.Where(t)
	db, err := sqlstore.Open(t.Context(), where)
	must(t, err)
	release := hold(t, db)
	const n = 100 // more than the queue takes
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = keep(t.Context(), db, fmt.Sprint("s", i)) })
	}
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	release()
	must(t, <-closed)
	group.Wait()
	if err := keep(t.Context(), db, "after"); err == nil {
		t.Error("a closed database takes transactions")
	}
	must(t, db.Close()) // once more is no error

	again := open(t, where)
	got, want := map[int]bool{}, map[int]bool{}
	for i, err := range errs {
		want[i], got[i] = err == nil, kept(t, again, fmt.Sprint("s", i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("acknowledged and kept differ (-acknowledged +kept)\n%s", diff)
	}
}

func TestReopen(t *testing.T) {
	where := sqlstoretest.Where(t)
	for range 3 {
		db, err := sqlstore.Open(t.Context(), where)
		must(t, err)
		must(t, keep(t.Context(), db, "first"))
		must(t, db.Close())
	}
	if !kept(t, open(t, where), "first") {
		t.Error("it is gone")
	}
}

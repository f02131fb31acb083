package run_test

import (
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
)

// Runs that have ended go with their logs after a while; those that are archived stay with theirs,
// and so do those that go on.
func TestExpire(t *testing.T) {
	w := newWorld(t)
	ctx, pushed := t.Context(), lease.Image{Registry: "r", Repository: "app", Tag: "1", Digest: "sha256:1"}
	ended := func(archived bool) arm.ID {
		t.Helper()
		req := encoded("steps: []")
		req.IsArchiveEnabled = archived
		r, err := w.Schedule(ctx, w.registry, req, time.Now())
		must(t, err)
		l, err := w.Acquire(ctx, lease.Agent{Name: "agent", OS: "linux", Arch: "amd64"})
		must(t, err)
		must(t, w.AppendLog(ctx, l.Key, 0, []byte("working\r\n")))
		must(t, w.Complete(ctx, l.Key, lease.Result{Status: lease.Succeeded, Dependencies: []lease.Dependency{{Image: &pushed}}}))
		return r.ID
	}
	old, kept, later := ended(false), ended(true), ended(false)
	_, err := w.SetArchived(ctx, later, true, time.Now())
	must(t, err)
	undone := ended(true)
	_, err = w.SetArchived(ctx, undone, false, time.Now())
	must(t, err)
	queued, err := w.Schedule(ctx, w.registry, encoded("steps: []"), time.Now())
	must(t, err)

	if runs, logs, err := w.Expire(ctx, time.Now().Add(-time.Hour)); runs+logs != 0 || err != nil {
		t.Errorf("too early: %d runs and %d logs, %v", runs, logs, err)
	}
	if runs, logs, err := w.Expire(ctx, time.Now().Add(time.Hour)); runs != 2 || logs != 2 || err != nil {
		t.Errorf("%d runs and %d logs went, %v", runs, logs, err)
	}
	for _, id := range []arm.ID{old, undone} {
		if _, err := w.Get(ctx, id); !problem.Is(err, problem.NotFound) || w.log(t, id) != "" {
			t.Errorf("%s is still there: %v, %q", id.Name(), err, w.log(t, id))
		}
	}
	for _, id := range []arm.ID{kept, later} {
		if _, err := w.Get(ctx, id); err != nil || w.log(t, id) != "working\r\n" {
			t.Errorf("%s: %v, %q", id.Name(), err, w.log(t, id))
		}
	}
	if found, _, err := w.List(ctx, w.registry, run.Filter{Output: "app@sha256:1"}); err != nil || len(found) != 2 {
		t.Errorf("%d runs pushed the image: %v", len(found), err)
	}
	if got, err := w.Get(ctx, queued.ID); err != nil || got.Properties.Status != run.Queued {
		t.Errorf("%+v, %v", got, err)
	}
	next, err := w.Schedule(ctx, w.registry, encoded("steps: []"), time.Now())
	must(t, err)
	if next.Properties.RunID == old.Name() || next.Properties.RunID <= queued.Properties.RunID {
		t.Errorf("the run ID %s came again", next.Properties.RunID)
	}
}

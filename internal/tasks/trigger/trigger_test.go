package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// world is an installation whose clock and events are looked at when a test says so.
type world struct {
	*servertest.World
	t    *testing.T
	task arm.ID
}

const step = `"step":{"type":"EncodedTask","encodedTaskContent":"dmVyc2lvbjogdjEuMS4wCnN0ZXBzOgotIGNtZDogYmFzaAo=","contextPath":"/dev/null"},"platform":{"os":"linux"}`

func newWorld(t *testing.T, trigger string) *world {
	t.Helper()
	w := &world{World: servertest.New(t), t: t}
	w.task = w.Registry.Child("tasks", "mytask")
	w.put(trigger)
	return w
}

// put writes the task with a trigger.
func (w *world) put(trigger string) {
	w.t.Helper()
	w.ARMOK(w.Admin, "PUT", w.task.String()+"?api-version=2019-04-01", `{"location":"eastus","properties":{"status":"Enabled",`+step+`,"trigger":`+trigger+`}}`)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// due is when a timer is due.
func (w *world) due(name string) time.Time {
	w.t.Helper()
	all, err := w.Triggers.Store.NextDue(w.t.Context(), w.task)
	w.must(err)
	return all[name]
}

// runs are the runs of the task, the oldest first.
func (w *world) runs() (all []run.Run) {
	w.t.Helper()
	found, _, err := w.Runs.List(w.t.Context(), w.Registry, run.Filter{Task: "mytask"})
	w.must(err)
	for _, r := range found {
		all = append([]run.Run{r}, all...)
	}
	return all
}

// runsOf counts the runs of a task.
func (w *world) runsOf(name string) int {
	w.t.Helper()
	found, _, err := w.Runs.List(w.t.Context(), w.Registry, run.Filter{Task: name})
	w.must(err)
	return len(found)
}

// ran lets a run of the task succeed that pushed an image, built on another.
func (w *world) ran(pushed, base lease.Image) {
	w.t.Helper()
	_, err := w.Runs.Schedule(w.t.Context(), w.Registry, run.Request{Type: "TaskRunRequest", TaskID: w.task.String()}, time.Now())
	w.must(err)
	leased, err := w.Runs.Acquire(w.t.Context(), lease.Agent{Name: "agent", OS: "linux", Arch: "amd64"})
	w.must(err)
	w.must(w.Runs.Complete(w.t.Context(), leased.Key, lease.Result{Status: lease.Succeeded,
		Dependencies: []lease.Dependency{{Image: &pushed, Runtime: &base}}}))
}

// log is what the triggers of the task saw, logOf those of another.
func (w *world) log() []string {
	w.t.Helper()
	return w.logOf(w.task)
}

// logOf has the oldest first: TRIGGER: OUTCOME, and how often if that is more than once.
func (w *world) logOf(id arm.ID) (lines []string) {
	w.t.Helper()
	all, err := w.Triggers.LogOf(w.t.Context(), id, 0, 100)
	w.must(err)
	for _, e := range all {
		line := e.Trigger + ": " + e.Reason
		if e.Run != "" {
			line = e.Trigger + ": run"
		}
		if e.Times > 1 {
			line += fmt.Sprintf(" ×%d", e.Times)
		}
		lines = append([]string{line}, lines...)
	}
	return lines
}

func (w *world) expect(what string, runs int, log ...string) {
	w.t.Helper()
	if got := w.runs(); len(got) != runs {
		w.t.Errorf("%s: there are %d runs, want %d", what, len(got), runs)
	}
	got := w.log()
	slices.Sort(got) // timers of one minute are taken in any order
	slices.Sort(log)
	if strings.Join(got, "\n") != strings.Join(log, "\n") {
		w.t.Errorf("%s: the log is\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(log, "\n"))
	}
}

// A timer makes one run at its minute, however often and by how many it is looked at.
func TestTimer(t *testing.T) {
	w := newWorld(t, `{"timerTriggers":[{"name":"Nightly","schedule":"0 2 * * *"},{"name":"never","schedule":"0 0 30 2 *"}]}`)
	due := w.due("nightly")
	if due.Hour() != 2 || due.Minute() != 0 || !due.After(time.Now()) || !w.due("never").IsZero() {
		t.Fatalf("it is due at %v", due)
	}
	w.must(w.Triggers.Tick(t.Context(), due.Add(-time.Millisecond)))
	w.expect("before", 0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := w.Triggers.Tick(t.Context(), due.Add(time.Second)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.expect("at the minute", 1, "Nightly: run")
	r := w.runs()[0].Properties
	if r.TimerTrigger == nil || r.TimerTrigger.Name != "Nightly" || r.TimerTrigger.Occurrence != arm.Time(due) || r.RunType != "AutoRun" {
		t.Errorf("%+v", r)
	}
	if next := w.due("nightly"); !next.Equal(due.AddDate(0, 0, 1)) {
		t.Errorf("it is due next at %v", next)
	}
	w.must(w.Triggers.Tick(t.Context(), due.Add(-time.Hour))) // the clock was set back
	w.must(w.Triggers.Tick(t.Context(), due))
	w.expect("the same minute again", 1, "Nightly: run")
}

// What was missed is not made up for, and is told once for each time that nobody looked.
func TestMissed(t *testing.T) {
	w := newWorld(t, `{"timerTriggers":[{"name":"often","schedule":"*/5 * * * *"}]}`)
	due := w.due("often")
	const missed = "often: missed: no server looked at that time, or its clock was set"
	w.must(w.Triggers.Tick(t.Context(), due.Add(24*time.Hour+2*time.Minute)))
	w.expect("a day later", 0, missed)
	if next := w.due("often"); !next.Equal(due.Add(24*time.Hour + 5*time.Minute)) {
		t.Errorf("it is due next at %v, after %v", next, due)
	}
	w.must(w.Triggers.Tick(t.Context(), due.Add(24*time.Hour+5*time.Minute+59*time.Second)))
	w.expect("late, but in its minute", 1, missed, "often: run")
	w.must(w.Triggers.Tick(t.Context(), due.Add(48*time.Hour)))
	w.expect("once more", 2, missed+" ×2", "often: run", "often: run")
}

// Who is disabled makes no run, and says so.
func TestDisabled(t *testing.T) {
	w := newWorld(t, `{"timerTriggers":[{"name":"a","schedule":"*/5 * * * *","status":"Disabled"},{"name":"b","schedule":"*/5 * * * *"}]}`)
	due := w.due("a")
	w.must(w.Triggers.Tick(t.Context(), due))
	w.expect("the trigger", 1, "a: the trigger is disabled", "b: run")
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"status":"Disabled"}}`)
	w.must(w.Triggers.Tick(t.Context(), due.Add(5*time.Minute)))
	w.must(w.Triggers.Tick(t.Context(), due.Add(10*time.Minute)))
	w.expect("the task", 1, "a: the trigger is disabled", "b: run", "a: the task is disabled ×2", "b: the task is disabled ×2")
}

// A plan follows its task: another schedule, no timer, no task.
func TestPlanFollows(t *testing.T) {
	w := newWorld(t, `{"timerTriggers":[{"name":"a","schedule":"0 2 1 1 *"},{"name":"b","schedule":"0 3 1 1 *"}]}`)
	a := w.due("a")
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"trigger":{"timerTriggers":[{"name":"b","schedule":"0 4 2 1 *"}]}}}`)
	if !w.due("a").Equal(a) || w.due("b").Hour() != 4 {
		t.Errorf("%v and %v", w.due("a"), w.due("b"))
	}
	w.put(`{"timerTriggers":[{"name":"b","schedule":"0 4 2 1 *"}]}`)
	if !w.due("a").IsZero() || w.due("b").IsZero() {
		t.Errorf("%v and %v", w.due("a"), w.due("b"))
	}
	at := w.due("b")
	w.must(w.Triggers.Tick(t.Context(), at))
	w.expect("before", 1, "b: run")
	w.ARMOK(w.Admin, "DELETE", w.task.String()+"?api-version=2019-04-01", "")
	if !w.due("b").IsZero() {
		t.Errorf("it is due at %v", w.due("b"))
	}
	w.put(`{"timerTriggers":[{"name":"b","schedule":"0 4 2 1 *"}]}`)
	w.expect("a new task of that name", 1)
}

// What is wrong with a task is why there is no run; what is wrong with the store is tried again.
func TestRefused(t *testing.T) {
	w := newWorld(t, `{"timerTriggers":[{"name":"a","schedule":"*/5 * * * *"}]}`)
	due := w.due("a")
	pools := w.Runs.Pools
	fault := errors.New("the store is away")
	w.Runs.Pools = failing{fault}
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"agentPoolName":"gone"}}`)
	if err := w.Triggers.Tick(t.Context(), due); !errors.Is(err, fault) {
		t.Errorf("%v", err)
	}
	w.expect("a fault", 0)
	w.Runs.Pools = pools
	w.must(w.Triggers.Tick(t.Context(), due.Add(time.Second)))
	if got := w.log(); len(got) != 1 || !strings.Contains(got[0], "gone") || len(w.runs()) != 0 {
		t.Errorf("%q", got)
	}
}

type failing struct{ err error }

func (f failing) Check(context.Context, arm.ID, string) error { return f.err }

// base is an image in a registry of this installation.
type base struct{ repository, tag string }

// push gives a tag other content, as somebody.
func (w *world) push(b base, content, actor string) string {
	w.t.Helper()
	body := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"content":"` + content + `"}}`
	m, err := w.Content.PutManifest(w.t.Context(), registry.Push{Name: registry.Name{Registry: strings.ToLower(w.Registry.Name()), Repository: b.repository},
		Reference: b.tag, MediaType: "application/vnd.oci.image.index.v1+json", Body: []byte(body), Actor: actor, Now: time.Now()})
	w.must(err)
	return m.Digest.String()
}

// built says what the last good run of the task was built on.
func (w *world) built(images ...task.BaseImage) {
	w.t.Helper()
	for i := range images {
		if images[i].Registry == "" {
			images[i].Registry = w.LoginServer(w.Registry.Name())
		}
	}
	w.must(w.Tasks.Remember(w.t.Context(), w.task, images))
}

func (w *world) look() {
	w.t.Helper()
	w.must(w.Triggers.Look(w.t.Context(), time.Now()))
}

const onBase = `{"baseImageTrigger":{"name":"base","baseImageTriggerType":"Runtime","status":"Enabled"}}`

// A base image that gets other content makes one run, whatever happens to the tag besides.
func TestBaseImage(t *testing.T) {
	w := newWorld(t, onBase)
	app := base{"node", "1"}
	first := w.push(app, "1", "somebody")
	w.built(task.BaseImage{Type: "RunTime", Repository: "node", Tag: "1", Digest: first})
	w.look()
	w.expect("nothing new", 0)
	second := w.push(app, "2", "somebody")
	w.look()
	w.expect("moved", 1, "base: run")
	cause := w.runs()[0].Properties.ImageUpdateTrigger
	if cause == nil || len(cause.Images) != 1 || cause.Images[0].Digest != second || cause.Images[0].OldDigest != first || cause.Images[0].Repository != "node" || cause.Images[0].Tag != "1" {
		t.Errorf("%+v", cause)
	}
	w.push(app, "2", "somebody")
	w.push(base{"node", "2"}, "3", "somebody")
	w.push(base{"other", "1"}, "3", "somebody")
	w.look()
	w.expect("the same again, and other images", 1, "base: run")
	w.push(app, "1", "somebody")
	w.push(app, "4", "somebody")
	w.look()
	w.expect("there and back, at once", 2, "base: run", "base: run")
	w.push(app, "1", "somebody")
	w.look()
	w.expect("back", 3, "base: run", "base: run", "base: run")
}

// Bases that move together make one run; build-time ones only if the trigger takes them.
func TestBaseImagesTogether(t *testing.T) {
	w := newWorld(t, onBase)
	a, b := base{"a", "1"}, base{"b", "1"}
	w.built(task.BaseImage{Type: "RunTime", Repository: "a", Tag: "1", Digest: w.push(a, "1", "x")},
		task.BaseImage{Type: "BuildTime", Repository: "b", Tag: "1", Digest: w.push(b, "1", "x")})
	w.push(b, "2", "x")
	w.look()
	w.expect("a build-time base", 0)
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"trigger":{"baseImageTrigger":{"name":"base","baseImageTriggerType":"All"}}}}`)
	w.push(a, "3", "x")
	w.push(b, "3", "x")
	w.look()
	w.expect("both", 1, "base: run")
	if images := w.runs()[0].Properties.ImageUpdateTrigger.Images; len(images) != 2 {
		t.Errorf("%+v", images)
	}
}

// No task is started by what its own run has pushed, nor one that is disabled.
func TestBaseImageNotHeeded(t *testing.T) {
	w := newWorld(t, onBase)
	app := base{"node", "1"}
	w.built(task.BaseImage{Type: "RunTime", Repository: "node", Tag: "1", Digest: w.push(app, "1", "x")})
	queued, err := w.Runs.Schedule(t.Context(), w.Registry, run.Request{Type: "TaskRunRequest", TaskID: w.task.String()}, time.Now())
	w.must(err)
	w.push(app, "2", queued.ID.String())
	w.look()
	w.expect("its own push", 1, "base: a run of the task itself pushed the image")
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"trigger":{"baseImageTrigger":{"name":"base","status":"Disabled"}}}}`)
	w.push(app, "3", "x")
	w.look()
	w.expect("disabled", 1, "base: a run of the task itself pushed the image", "base: the trigger is disabled")
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"trigger":{"baseImageTrigger":{"name":"base","status":"Enabled"}}}}`)
	w.look()
	w.expect("enabled again", 1, "base: a run of the task itself pushed the image", "base: the trigger is disabled")
}

// A base that moved while the run that was built on it went on is not lost; what cannot be
// seen is told.
func TestBaseImageLearnt(t *testing.T) {
	w := newWorld(t, onBase)
	app := base{"node", "1"}
	first := w.push(app, "1", "x")
	w.push(app, "2", "x")
	w.look()
	w.built(task.BaseImage{Type: "RunTime", Repository: "node", Tag: "1", Digest: first})
	w.expect("moved meanwhile", 1, "base: run")
	w.look()
	w.expect("and once", 1, "base: run")
	w.built(task.BaseImage{Type: "RunTime", Registry: "docker.io", Repository: "library/alpine", Digest: first},
		task.BaseImage{Type: "BuildTime", Registry: "docker.io", Repository: "library/golang", Digest: first},
		task.BaseImage{Type: "RunTime", Registry: w.LoginServer("gone"), Repository: "node", Tag: "1", Digest: first})
	w.expect("what is not seen", 1, "base: run", "base: it is named by its digest, or that was not found out",
		"base: its registry is not there any more")
}

// forgetful is an outbox whose reader is killed before it says how far it came.
type forgetful struct{ registry.Outbox }

func (forgetful) Done(context.Context, string, int64) error { return context.Canceled }

// Events that are seen again after a kill make no second run, nor do two servers.
func TestBaseImageOnce(t *testing.T) {
	w := newWorld(t, onBase)
	app := base{"node", "1"}
	w.built(task.BaseImage{Type: "RunTime", Repository: "node", Tag: "1", Digest: w.push(app, "1", "x")})
	w.push(app, "2", "x")
	w.push(app, "3", "x")
	killed := *w.Triggers
	killed.Outbox = forgetful{w.Triggers.Outbox}
	for range 3 {
		if err := killed.Look(t.Context(), time.Now()); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	w.expect("killed three times", 1, "base: run")
	var all sync.WaitGroup
	w.push(app, "4", "x")
	for range 4 {
		all.Go(func() {
			if err := w.Triggers.Look(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.expect("several servers", 2, "base: run", "base: run")
}

// The log has pages, and goes after a while.
func TestLog(t *testing.T) {
	w := newWorld(t, `{"timerTriggers":[{"name":"often","schedule":"* * * * *"}]}`)
	due := w.due("often")
	for i := range 7 {
		w.must(w.Triggers.Tick(t.Context(), due.Add(time.Duration(i)*time.Minute)))
	}
	a := w.ARM(w.Admin, "GET", w.task.String()+"/triggerEvents?api-version=2019-04-01", "")
	values, _ := a.At("value").([]any)
	if a.Status != 200 || len(values) != 7 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	newest := values[0].(map[string]any)["properties"].(map[string]any)
	if newest["runId"] != w.runs()[6].Properties.RunID || newest["triggerType"] != "Timer" || newest["object"] != arm.Time(due.Add(6*time.Minute)) {
		t.Errorf("%v", newest)
	}
	page, err := w.Triggers.LogOf(t.Context(), w.task, 0, 5)
	w.must(err)
	rest, err := w.Triggers.LogOf(t.Context(), w.task, page[4].ID, 5)
	w.must(err)
	if len(page) != 5 || len(rest) != 2 {
		t.Errorf("%d and %d entries", len(page), len(rest))
	}
	if a := w.ARM(w.Person("stranger", "AcrPull", w.Registry), "GET", w.task.String()+"/triggerEvents?api-version=2019-04-01", ""); a.Status != 403 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	w.must(w.Triggers.Sweep(t.Context(), due.Add(trigger.Keep+4*time.Minute)))
	if got := w.log(); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// On PostgreSQL all of it is the same.
func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

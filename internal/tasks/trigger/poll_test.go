package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/trigger"
)

// outside is a registry of another installation. It knows the user ann with the password secret.
type outside struct {
	*httptest.Server
	mu     sync.Mutex
	tags   map[string]string // REPOSITORY:TAG → content
	closed map[string]bool   // repositories that are shown to ann alone
	busy   string            // Retry-After of what it answers to everybody
	asked  []string          // USER REPOSITORY:TAG
}

func newOutside(t *testing.T) *outside {
	o := &outside{tags: map[string]string{}, closed: map[string]bool{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *outside) host() string { return strings.TrimPrefix(o.URL, "http://") }

func (o *outside) push(name, content string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tags[name] = content
	return digest.FromString(content).String()
}

// questions are those since the last time.
func (o *outside) questions() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked := o.asked
	o.asked = nil
	slices.Sort(asked)
	return asked
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	repository, tag, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
	user, password, _ := r.BasicAuth()
	if user == "" && strings.HasPrefix(repository, "private/") { // as those do that take a password
		w.Header().Set("WWW-Authenticate", `Basic realm="outside"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodHead {
		o.asked = append(o.asked, user+" "+repository+":"+tag)
	}
	content, there := o.tags[repository+":"+tag]
	switch {
	case o.busy != "":
		w.Header().Set("Retry-After", o.busy)
		w.WriteHeader(http.StatusTooManyRequests)
	case user != "" && (user != "ann" || password != "secret"):
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"you are not ann"}]}`)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("Docker-Content-Digest", digest.FromString(content).String())
	}
}

// on is an image of the registry as a good run found it.
func (o *outside) on(name string) task.BaseImage {
	repository, tag, _ := strings.Cut(name, ":")
	return task.BaseImage{Type: "RunTime", Registry: o.host(), Repository: repository, Tag: tag,
		Digest: digest.FromString(o.tags[name]).String()}
}

// clock is what time it is.
type clock struct{ now time.Time }

// poll asks for what is due two hours after the last time: all of it, after one failure as well.
func (c *clock) poll(w *world) {
	w.t.Helper()
	c.now = c.now.Add(2 * time.Hour)
	w.must(w.Triggers.Poll(w.t.Context(), c.now))
}

// another makes a task beside the first, with a trigger and the credentials of custom registries,
// and says what it was built on.
func (w *world) another(name, trigger, custom string, images ...task.BaseImage) arm.ID {
	w.t.Helper()
	id := w.Registry.Child("tasks", name)
	w.ARMOK(w.Admin, "PUT", id.String()+"?api-version=2019-04-01", `{"location":"eastus","properties":{"status":"Enabled",`+step+
		`,"credentials":{"customRegistries":{`+custom+`}},"trigger":`+trigger+`}}`)
	w.must(w.Tasks.Remember(w.t.Context(), id, images))
	return id
}

func (o *outside) as(user, password string) string {
	return fmt.Sprintf(`%q:{"userName":{"type":"Opaque","value":%q},"password":{"type":"Opaque","value":%q}}`, o.host(), user, password)
}

// An image elsewhere that gets other content makes one run when it is asked for, however many
// servers do.
func TestPoll(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	first := o.push("lib/node:1", "1")
	w.built(o.on("lib/node:1"))
	c := &clock{time.Now()}
	w.must(w.Triggers.Poll(t.Context(), c.now.Add(9*time.Minute)))
	if got := o.questions(); len(got) != 0 {
		t.Errorf("asked %q too early", got)
	}
	c.poll(w)
	w.expect("nothing new", 0)
	second := o.push("lib/node:1", "2")
	if got := o.questions(); len(got) != 1 {
		t.Errorf("asked %q", got)
	}
	var all sync.WaitGroup
	c.now = c.now.Add(2 * time.Hour)
	for range 8 {
		all.Go(func() {
			if err := w.Triggers.Poll(t.Context(), c.now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := o.questions(); len(got) != 1 {
		t.Errorf("eight servers asked %q", got)
	}
	w.expect("moved", 1, "base: run")
	cause := w.runs()[0].Properties.ImageUpdateTrigger
	if cause == nil || len(cause.Images) != 1 || cause.Images[0].Registry != o.host() || cause.Images[0].Repository != "lib/node" ||
		cause.Images[0].Digest != second || cause.Images[0].OldDigest != first {
		t.Errorf("%+v", cause)
	}
	c.poll(w)
	w.expect("the same again", 1, "base: run")
	next, err := w.Triggers.Store.PollsOf(t.Context(), []arm.ID{w.task})
	w.must(err)
	if len(next) != 1 || next[0].Due.Before(c.now.Add(10*time.Minute)) || next[0].Due.After(c.now.Add(time.Hour)) || next[0].Failures != 0 {
		t.Errorf("next is %+v, it was %v", next, c.now)
	}
}

// Tasks that pull an image as the same share a question; each other is asked for as itself.
func TestPollAsWhom(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	o.push("private/a:1", "1")
	o.push("open/a:1", "1")
	w.another("nobody", onBase, "", o.on("private/a:1"), o.on("open/a:1"))
	w.another("other", onBase, "", o.on("open/a:1"))
	ann1 := w.another("anns-first", onBase, o.as("ann", "secret"), o.on("private/a:1"))
	w.another("anns-second", onBase, o.as("ann", "secret"), o.on("private/a:1"))
	bob := w.another("bobs-task", onBase, o.as("bob", "secret"), o.on("private/a:1"))
	o.push("private/a:1", "2")
	c := &clock{time.Now()}
	c.poll(w)
	if got, want := strings.Join(o.questions(), ", "), " open/a:1, ann private/a:1, bob private/a:1"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	for name, want := range map[string]int{"nobody": 0, "other": 0, "anns-first": 1, "anns-second": 1, "bobs-task": 0} {
		if got := w.runsOf(name); got != want {
			t.Errorf("%s has %d runs, want %d", name, got, want)
		}
	}
	c.poll(w)
	for id, want := range map[*arm.ID]string{&ann1: "run", &bob: "does not show it to the task's user bob: 403 Forbidden, denied: you are not ann ×2"} {
		log := w.logOf(*id)
		if len(log) != 1 || !strings.HasSuffix(log[0], want) {
			t.Errorf("the log of %s is %q, want %q", id.Name(), log, want)
		}
	}
	if got := w.logOf(w.Registry.Child("tasks", "nobody")); len(got) != 1 || !strings.Contains(got[0], "does not show it to nobody: 401 Unauthorized") {
		t.Errorf("the log of nobody is %q", got)
	}
}

// Images of a task that were built anew together make one run, although they are not due together.
func TestPollTogether(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	for _, name := range []string{"a:1", "b:1", "c:1"} {
		o.push(name, "1")
	}
	w.built(o.on("a:1"), o.on("b:1"), o.on("c:1"))
	all, err := w.Triggers.Store.PollsOf(t.Context(), []arm.ID{w.task})
	w.must(err)
	o.push("a:1", "2")
	o.push("b:1", "2")
	o.push("c:1", "2")
	w.must(w.Triggers.Poll(t.Context(), all[0].Due))
	w.expect("together", 1, "base: run")
	if images := w.runs()[0].Properties.ImageUpdateTrigger.Images; len(images) != 3 {
		t.Errorf("%+v", images)
	}
}

// A host that is too busy is left alone for as long as it says, with all its images; failures
// double the time.
func TestPollBacksOff(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	for i := range 5 {
		o.push(fmt.Sprintf("a:%d", i), "1")
	}
	w.built(o.on("a:0"), o.on("a:1"), o.on("a:2"), o.on("a:3"), o.on("a:4"))
	o.busy = "21600"
	c := &clock{time.Now()}
	c.poll(w)
	if got := o.questions(); len(got) != 1 {
		t.Errorf("asked %q", got)
	}
	c.poll(w)
	c.poll(w)
	if got := o.questions(); len(got) != 0 {
		t.Errorf("asked %q before the time was over", got)
	}
	if got := w.log(); len(got) != 1 || !strings.Contains(got[0], "it could not be asked for: 429 Too Many Requests") {
		t.Errorf("the log is %q", got)
	}
	o.busy = ""
	c.poll(w)
	if got := o.questions(); len(got) != 5 {
		t.Errorf("asked %q", got)
	}
	o.Close()
	var last time.Duration
	for range 12 {
		c.now = c.now.Add(48 * time.Hour)
		w.must(w.Triggers.Poll(t.Context(), c.now))
		all, err := w.Triggers.Store.PollsOf(t.Context(), []arm.ID{w.task})
		w.must(err)
		last = all[0].Due.Sub(c.now)
	}
	if last.Round(time.Millisecond) != 24*time.Hour { // rows have microseconds
		t.Errorf("after twelve failures it is asked again in %v", last)
	}
}

// Who is disabled is not asked for; who has no trigger for an image any more ends its poll.
func TestPollNotWanted(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	o.push("a:1", "1")
	w.built(o.on("a:1"))
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"trigger":{"baseImageTrigger":{"name":"base","status":"Disabled"}}}}`)
	c := &clock{time.Now()}
	c.poll(w)
	w.expect("disabled", 0, "base: not looked at: the trigger is disabled")
	w.ARMOK(w.Admin, "PATCH", w.task.String()+"?api-version=2019-04-01", `{"properties":{"trigger":{"baseImageTrigger":{"name":"base","status":"Enabled"}}}}`)
	o.push("a:1", "2")
	c.poll(w)
	w.expect("enabled", 1, "base: not looked at: the trigger is disabled", "base: run")
	o.questions()
	w.put(`{"timerTriggers":[]}`)
	c.poll(w)
	all, err := w.Triggers.Store.DuePolls(t.Context(), c.now.Add(1000*time.Hour), 10)
	w.must(err)
	if got := o.questions(); len(got) != 0 || len(all) != 0 {
		t.Errorf("asked %q, and is going to for %v", got, all)
	}
}

// A tag that is gone is told, and one that a run of the task has pushed makes no run.
func TestPollNotHeeded(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	w.built(o.on("gone:1"))
	c := &clock{time.Now()}
	c.poll(w)
	c.poll(w)
	w.expect("gone", 0, "base: its tag is not there any more ×2")
	before := lease.Image{Registry: o.host(), Repository: "a", Tag: "1", Digest: o.push("a:1", "1")}
	own := before
	own.Digest = o.push("a:1", "2")
	w.ran(own, before)
	c.poll(w)
	w.expect("its own", 1, "base: its tag is not there any more ×2", "base: a run of the task itself pushed the image")
}

// What triggers wait for is told: a minute, a poll, a push, or why nothing comes of it.
func TestPlanned(t *testing.T) {
	w, o := newWorld(t, `{"timerTriggers":[{"name":"often","schedule":"*/5 * * * *"},{"name":"never","schedule":"0 0 30 2 *"},
		{"name":"off","schedule":"0 0 1 1 *","status":"Disabled"}],"baseImageTrigger":{"name":"base","baseImageTriggerType":"Runtime","status":"Enabled"}}`), newOutside(t)
	plan := func() (lines []string) {
		t.Helper()
		all, err := w.Triggers.Planned(t.Context(), w.task)
		w.must(err)
		for _, p := range all {
			line := p.Trigger + " " + strings.ReplaceAll(p.Object, o.host(), "OUTSIDE")
			if !p.Time.IsZero() {
				line += " at a time"
			}
			lines = append(lines, strings.TrimSuffix(line+": "+p.Reason, ": "))
		}
		return lines
	}
	timers := []string{"often */5 * * * * at a time", "never 0 0 30 2 *: no day fits the schedule", "off 0 0 1 1 * at a time: the trigger is disabled"}
	want := append(slices.Clip(timers), "base : no good run yet that was built on an image")
	if got := plan(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	o.push("a:1", "1")
	node := w.push(base{"node", "1"}, "1", "x")
	own := task.BaseImage{Type: "RunTime", Repository: "node", Tag: "1", Digest: node}
	pinned := task.BaseImage{Type: "RunTime", Repository: "node", Digest: node}
	stage := task.BaseImage{Type: "BuildTime", Repository: "node", Tag: "1", Digest: node}
	w.built(o.on("a:1"), own, pinned, stage)
	here := w.LoginServer(w.Registry.Name())
	want = append(slices.Clip(timers), "base OUTSIDE/a:1 at a time", "base "+here+"/node:1",
		"base "+here+"/node: it is named by its digest, or that was not found out")
	if got := plan(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPollOff(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	w.Triggers.Every = trigger.Interval{}
	o.push("a:1", "1")
	w.built(o.on("a:1"))
	w.expect("off", 0, "base: it is in no registry of this installation, and others are not asked: triggers.baseImagePoll is off")
}

func TestParseInterval(t *testing.T) {
	for text, want := range map[string]trigger.Interval{
		"off": {}, "30m": {Least: 30 * time.Minute, Most: 30 * time.Minute}, "10m-1h": trigger.DefaultInterval,
		"1s-1s": {Least: time.Second, Most: time.Second},
	} {
		if got, err := trigger.ParseInterval(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "10", "1h-10m", "-5m", "10m-", "500ms", "never", "1m-2m-3m"} {
		if got, err := trigger.ParseInterval(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// A run does not end without what its task learns from it: the agent says it again.
func TestLessonEndsWithTheRun(t *testing.T) {
	w, o := newWorld(t, onBase), newOutside(t)
	base := lease.Image{Registry: o.host(), Repository: "a", Tag: "1", Digest: o.push("a:1", "1")}
	queued, err := w.Runs.Schedule(t.Context(), w.Registry, run.Request{Type: "TaskRunRequest", TaskID: w.task.String()}, time.Now())
	w.must(err)
	leased, err := w.Runs.Acquire(t.Context(), lease.Agent{Name: "agent", OS: "linux", Arch: "amd64"})
	w.must(err)
	fault := errors.New("the store is away")
	w.Tasks.Planner = badPlanner{fault}
	result := lease.Result{Status: lease.Succeeded, Dependencies: []lease.Dependency{{Runtime: &base}}}
	if err := w.Runs.Complete(t.Context(), leased.Key, result); !errors.Is(err, fault) {
		t.Errorf("%v", err)
	}
	status := func() run.Status {
		t.Helper()
		r, err := w.Runs.Get(t.Context(), queued.ID)
		w.must(err)
		return r.Properties.Status
	}
	if got := status(); got != run.Started {
		t.Errorf("the run is %s", got)
	}
	w.Tasks.Planner = w.Triggers
	w.must(w.Runs.Complete(t.Context(), leased.Key, result))
	polls, err := w.Triggers.Store.PollsOf(t.Context(), []arm.ID{w.task})
	w.must(err)
	if got := status(); got != "Succeeded" || len(polls) != 1 {
		t.Errorf("the run is %s, the polls are %v", got, polls)
	}
}

type badPlanner struct{ err error }

func (p badPlanner) Plan(context.Context, task.Task, time.Time) error { return p.err }

package run_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/pool"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

// steps is a run of a task file on a platform, in a pool unless that is empty.
func steps(arch, pool string) run.Request {
	request := run.Request{Type: "EncodedTaskRunRequest", Timeout: 600, Platform: &task.Platform{OS: "linux", Architecture: arch},
		Step: task.Step{EncodedTaskContent: base64.StdEncoding.EncodeToString([]byte("steps: []"))}}
	if pool != "" {
		request.AgentPoolName = &pool
	}
	return request
}

// dockerBuild is a build of an image for a platform.
func dockerBuild(p task.Platform) run.Request {
	return run.Request{Type: "DockerBuildRequest", SourceLocation: "https://git.example/a/b.git", Platform: &p, Step: task.Step{ImageNames: []string{"a:1"}}}
}

func (w *world) state(t *testing.T, id arm.ID) (run.Status, string) {
	t.Helper()
	res, err := w.Get(t.Context(), id)
	must(t, err)
	if res.Properties.RunErrorMessage == nil {
		return res.Properties.Status, ""
	}
	return res.Properties.Status, *res.Properties.RunErrorMessage
}

// A run that nobody can take says so from the first second, and ends with its time limit.
func TestWaitingEnds(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.Pools.(*pool.Service).Put(t.Context(), resource.Put[pool.Properties]{ID: w.registry.Child("agentPools", "mypool"), Now: time.Now()})
	must(t, err)
	// An agent of another platform is there.
	_, err = w.Schedule(t.Context(), w.registry, steps("amd64", ""), time.Now())
	must(t, err)
	l, err := w.Acquire(t.Context(), amd64)
	must(t, err)
	must(t, w.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}))

	now := time.Now()
	for _, test := range []struct {
		request run.Request
		missing string
	}{
		{steps("arm64", ""), "there is no agent for linux/arm64"},
		{steps("amd64", "mypool"), "the agent pool 'mypool' has no agent for linux/amd64"},
	} {
		queued, err := w.Schedule(t.Context(), w.registry, test.request, now)
		must(t, err)
		status, why := w.state(t, queued.ID)
		if want := "the run ends at " + now.Add(10*time.Minute).UTC().Format(time.RFC3339); status != run.Queued || !strings.Contains(why, "waiting: "+test.missing) || !strings.Contains(why, want) {
			t.Errorf("at first it is %s: %s", status, why)
		}
		if only := strings.Contains(why, "only for linux/amd64"); only != (test.request.AgentPoolName == nil) {
			t.Error(why)
		}
		if log := w.log(t, queued.ID); !strings.Contains(log, "waiting: "+test.missing) {
			t.Errorf("the log begins with %q", log)
		}
		must(t, w.EndWaiting(t.Context(), now.Add(10*time.Minute-time.Second)))
		if status, _ := w.state(t, queued.ID); status != run.Queued {
			t.Errorf("before its time is over it is %s", status)
		}
		must(t, w.EndWaiting(t.Context(), now.Add(10*time.Minute+time.Second)))
		status, why = w.state(t, queued.ID)
		if status != run.Status(lease.Timeout) || !strings.Contains(why, test.missing) || strings.Contains(why, "waiting:") {
			t.Errorf("at the end it is %s: %s", status, why)
		}
		if log := w.log(t, queued.ID); !strings.Contains(log, "Run ID: "+queued.ID.Name()+" failed after 10m1s. Error: ") {
			t.Errorf("the log ends with %q", log)
		}
	}
}

// What waits for agents that have other work goes on waiting.
func TestWaitingForBusyAgents(t *testing.T) {
	w := newWorld(t)
	long := time.Now().Add(-2 * time.Hour)
	var queued []arm.ID
	for range 2 {
		r, err := w.Schedule(t.Context(), w.registry, steps("amd64", ""), long)
		must(t, err)
		queued = append(queued, r.ID)
	}
	l, err := w.Acquire(t.Context(), amd64)
	must(t, err)
	// Another server on the same database has not heard of the agent.
	other := &run.Service{Store: w.Store, Registries: w.Registries, Sealer: w.Sealer, Logs: w.Logs}
	must(t, other.EndWaiting(t.Context(), time.Now()))
	must(t, w.EndWaiting(t.Context(), time.Now()))
	if status, _ := w.state(t, queued[1]); status != run.Queued {
		t.Errorf("a run behind one that is executed is %s", status)
	}
	must(t, w.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}))
	must(t, w.EndWaiting(t.Context(), time.Now()))
	if status, _ := w.state(t, queued[1]); status != run.Queued {
		t.Errorf("a run whose agent was seen is %s", status)
	}
	must(t, other.EndWaiting(t.Context(), time.Now()))
	if status, _ := w.state(t, queued[1]); status != run.Status(lease.Timeout) {
		t.Errorf("a run that nobody takes is %s", status)
	}
}

// Why the server's own agent is not there is told whoever waits for it, and not those of pools.
func TestNoAgent(t *testing.T) {
	w := newWorld(t)
	w.NoAgent("it cannot work: no subordinate IDs; hint: usermod")
	r, err := w.Schedule(t.Context(), w.registry, steps("amd64", ""), time.Now())
	must(t, err)
	if _, why := w.state(t, r.ID); !strings.Contains(why, "there is no agent for linux/amd64: it cannot work: no subordinate IDs; hint: usermod; the run ends at") {
		t.Error(why)
	}
	w.NoAgent("")
	if _, why := w.state(t, r.ID); strings.Contains(why, "usermod") {
		t.Error(why)
	}
}

// An image is built for its platform by whichever agent there is; steps need one of theirs.
func TestPlatforms(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		platform task.Platform
		want     string
	}{
		{task.Platform{}, "linux/amd64"},
		{task.Platform{OS: "linux", Architecture: "arm64"}, "linux/arm64"},
		{task.Platform{OS: "Linux", Architecture: "ARM", Variant: pointer("V7")}, "linux/arm/v7"},
		{task.Platform{Architecture: "x86", Variant: pointer("")}, "linux/386"},
		{task.Platform{OS: "linux", Architecture: "s390x"}, "linux/s390x"},
	} {
		_, err := w.Schedule(t.Context(), w.registry, dockerBuild(test.platform), time.Now())
		must(t, err)
		l, err := w.Acquire(t.Context(), amd64)
		must(t, err)
		if got := l.Job.Step.Build.Platform; got != test.want {
			t.Errorf("the image of %+v is for %q, want %q", test.platform, got, test.want)
		}
		must(t, w.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}))
	}
	for _, wrong := range []struct {
		platform task.Platform
		kind     problem.Kind
	}{
		{task.Platform{OS: "windows"}, problem.Unsupported},
		{task.Platform{OS: "Windows", Architecture: "amd64"}, problem.Unsupported},
		{task.Platform{OS: "arm64"}, problem.Invalid},
		{task.Platform{OS: "linux", Architecture: "arm65"}, problem.Invalid},
		{task.Platform{OS: "linux", Architecture: "arm", Variant: pointer("7")}, problem.Invalid},
	} {
		if _, err := w.Schedule(t.Context(), w.registry, dockerBuild(wrong.platform), time.Now()); !problem.Is(err, wrong.kind) {
			t.Errorf("%+v: %v", wrong.platform, err)
		}
	}
}

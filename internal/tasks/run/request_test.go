package run_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

func pointer(text string) *string { return &text }

// fileTask puts a task whose context needs a credential.
func (w *world) fileTask(t *testing.T, name string) {
	t.Helper()
	id := w.registry.Child("tasks", name)
	_, _, err := w.Tasks.Put(t.Context(), resource.Put[task.Properties]{ID: id, Now: time.Now(), Properties: task.Properties{Timeout: 600,
		Step: &task.Step{Type: "FileTask", ContextPath: "https://git.example/a/b.git", ContextAccessToken: pointer("hush"), TaskFilePath: "acb.yaml",
			Values: []task.Value{{Name: "a", Value: pointer("1")}, {Name: "s", Value: pointer("secret"), IsSecret: true}}}}})
	must(t, err)
}

// A run of a task has the task's members but for those that it overrides. The
// context's credential goes to the context's own server only.
func TestOverride(t *testing.T) {
	w := newWorld(t)
	w.fileTask(t, "build")
	agent := lease.Agent{Name: "test", OS: "linux", Arch: "amd64"}
	for _, test := range []struct{ context, token string }{
		{"", "hush"},
		{"https://git.example/a/b.git#branch:dir", "hush"},
		{"https://GIT.example/c/d.git", "hush"},
		{"http://git.example/a/b.git", ""},
		{"https://git.example:8443/a/b.git", ""},
		{"https://git.example.evil.test/a/b.git", ""},
		{"https://git.example@evil.test/a/b.git", ""},
		{"https://evil.test/a/b.git", ""},
		{"git@evil.test:a/b.git", ""},
	} {
		_, err := w.Schedule(t.Context(), w.registry, run.Request{Type: "TaskRunRequest", TaskID: w.registry.Child("tasks", "BUILD").String(),
			Override: &run.Override{ContextPath: test.context, File: "other.yaml", Values: []task.Value{{Name: "a", Value: pointer("2")}, {Name: "b", Value: pointer("3")}}}}, time.Now())
		must(t, err)
		l, err := w.Acquire(t.Context(), agent)
		must(t, err)
		step := l.Job.Step
		if got := step.ContextToken.Reveal(); got != test.token {
			t.Errorf("%q gets the credential %q", test.context, got)
		}
		if test.context != "" && step.Context != test.context || step.TaskPath != "other.yaml" || len(step.Values) != 3 || step.Values[0].Value != "2" || step.Values[1].Value != "secret" || step.Values[2].Value != "3" {
			t.Errorf("%q: the step is %+v", test.context, step)
		}
		must(t, w.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}))
	}
}

func TestRefusedRequests(t *testing.T) {
	w := newWorld(t)
	w.fileTask(t, "build")
	id := w.registry.Child("tasks", "build")
	good := base64.StdEncoding.EncodeToString([]byte("steps: []"))
	for _, test := range []struct {
		name string
		req  run.Request
		kind problem.Kind
	}{
		{"no type", run.Request{}, problem.Invalid},
		{"an unknown type", run.Request{Type: "Magic"}, problem.Invalid},
		{"no task", run.Request{Type: "TaskRunRequest"}, problem.Invalid},
		{"a registry for a task", run.Request{Type: "TaskRunRequest", TaskID: w.registry.String()}, problem.Invalid},
		{"another registry's task", run.Request{Type: "TaskRunRequest", TaskID: strings.Replace(id.String(), "myregistry", "myregistry2", 1)}, problem.Invalid},
		{"a task missing", run.Request{Type: "TaskRunRequest", TaskID: w.registry.Child("tasks", "nobody").String()}, problem.NotFound},
		{"no steps", run.Request{Type: "EncodedTaskRunRequest"}, problem.Invalid},
		{"a pool", run.Request{Type: "EncodedTaskRunRequest", AgentPoolName: pointer("pool"), Step: task.Step{EncodedTaskContent: good}}, problem.NotFound},
		{"a template of logs", run.Request{Type: "EncodedTaskRunRequest", LogTemplate: pointer("x"), Step: task.Step{EncodedTaskContent: good}}, problem.Unsupported},
		{"no upload", run.Request{Type: "DockerBuildRequest", SourceLocation: "tasks-source/x.tar.gz", Step: task.Step{DockerFilePath: "Dockerfile"}}, problem.Invalid},
		{"another platform", run.Request{Type: "EncodedTaskRunRequest", Platform: &task.Platform{OS: "Windows"}, Step: task.Step{EncodedTaskContent: good}}, problem.Unsupported},
		{"too short", run.Request{Type: "EncodedTaskRunRequest", Timeout: 1, Step: task.Step{EncodedTaskContent: good}}, problem.Invalid},
	} {
		if _, err := w.Schedule(t.Context(), w.registry, test.req, time.Now()); !problem.Is(err, test.kind) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	all, _, err := w.List(t.Context(), w.registry, run.Filter{})
	if err != nil || len(all) != 0 {
		t.Errorf("%d runs were made, %v", len(all), err)
	}
	_, _, err = w.Tasks.Put(t.Context(), resource.Put[task.Properties]{ID: id, Now: time.Now(), Properties: task.Properties{Status: "Disabled", Step: &task.Step{Type: "EncodedTask", EncodedTaskContent: good}}})
	must(t, err)
	if _, err := w.Schedule(t.Context(), w.registry, run.Request{Type: "TaskRunRequest", TaskID: id.String()}, time.Now()); !problem.Is(err, problem.Conflict) {
		t.Errorf("a disabled task: %v", err)
	}
}

// A deleted task takes its queued runs along; one under way goes on.
func TestDeletedTask(t *testing.T) {
	w := newWorld(t)
	w.fileTask(t, "build")
	id := w.registry.Child("tasks", "build")
	var runs []run.Run
	for range 2 {
		r, err := w.Schedule(t.Context(), w.registry, run.Request{Type: "TaskRunRequest", TaskID: id.String()}, time.Now())
		must(t, err)
		runs = append(runs, r)
	}
	l, err := w.Acquire(t.Context(), lease.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	must(t, err)
	existed, err := w.Tasks.Delete(t.Context(), id)
	if err != nil || !existed {
		t.Fatal(existed, err)
	}
	must(t, w.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}))
	for i, want := range []run.Status{"Succeeded", "Canceled"} {
		got, err := w.Get(t.Context(), runs[i].ID)
		if err != nil || got.Properties.Status != want {
			t.Errorf("run %d is %s, %v", i, got.Properties.Status, err)
		}
	}
	filtered, _, err := w.List(t.Context(), w.registry, run.Filter{Task: "BUILD", Status: "canceled", Top: 5})
	if err != nil || len(filtered) != 1 {
		t.Errorf("%d runs, %v", len(filtered), err)
	}
}

// Runs are found by the images they have pushed.
func TestRunsByOutput(t *testing.T) {
	w := newWorld(t)
	good := base64.StdEncoding.EncodeToString([]byte("steps: []"))
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for range 2 {
		_, err := w.Schedule(t.Context(), w.registry, run.Request{Type: "EncodedTaskRunRequest", Step: task.Step{EncodedTaskContent: good}}, time.Now())
		must(t, err)
	}
	l, err := w.Acquire(t.Context(), lease.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	must(t, err)
	images := []lease.Dependency{{Image: &lease.Image{Registry: "r", Repository: "other", Digest: digest}}, {Image: &lease.Image{Registry: "r", Repository: "a/b", Tag: "1", Digest: digest}}}
	must(t, w.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded, Dependencies: images}))
	newest, next, err := w.List(t.Context(), w.registry, run.Filter{Top: 1})
	if err != nil || len(newest) != 1 || next == 0 {
		t.Fatal(newest, next, err)
	}
	rest, next, err := w.List(t.Context(), w.registry, run.Filter{Top: 1, Before: next})
	if err != nil || len(rest) != 1 || next != 0 || rest[0].ID.Equal(newest[0].ID) {
		t.Error(rest, next, err)
	}
	for _, f := range []run.Filter{{Status: "SUCCEEDED"}, {Status: "queued"}, {Status: "queued", Top: 1}} {
		if all, next, err := w.List(t.Context(), w.registry, f); err != nil || len(all) != 1 || next != 0 {
			t.Error(f, all, next, err)
		}
	}
	if all, _, err := w.List(t.Context(), w.registry, run.Filter{Status: "none such"}); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
	for output, want := range map[string]int{"": 2, "a/b@" + digest: 1, "other@" + digest: 1, "b@" + digest: 0, "a/b": 0, "a/b@sha256:bb": 0} {
		found, _, err := w.List(t.Context(), w.registry, run.Filter{Output: output})
		if err != nil || len(found) != want {
			t.Errorf("%q: %d runs, %v; want %d", output, len(found), err, want)
		}
	}
}

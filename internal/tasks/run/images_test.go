package run_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

var amd64 = lease.Agent{Name: "test", OS: "linux", Arch: "amd64"}

// A build may name its own registry as it likes; the agent is told one name. What begins with
// another registry is as it was written.
func TestImageNames(t *testing.T) {
	w := newWorld(t)
	w.Registries.Aliases = map[string]arm.ID{"contoso.azurecr.io": w.registry, "other.azurecr.io": w.registry.Parent()}
	credential := &task.CustomCredential{UserName: &task.SecretValue{Value: pointer("u")}, Password: &task.SecretValue{Value: pointer("p")}}
	request := run.Request{Type: "DockerBuildRequest", SourceLocation: "https://git.example/a/b.git",
		Credentials: &task.Credentials{Custom: map[string]*task.CustomCredential{"elsewhere.example:5000": credential}}}
	request.ImageNames = []string{"g:1", "team/g", "Contoso.azurecr.io/g:{{.Run.ID}}", "myregistry.azurecr.test/g:2", "{{.Run.Registry}}/g",
		"elsewhere.example:5000/g", "other.azurecr.io/g"}
	_, err := w.Schedule(t.Context(), w.registry, request, time.Now())
	must(t, err)
	l, err := w.Acquire(t.Context(), amd64)
	must(t, err)
	want := []string{"g:1", "team/g", "myregistry.azurecr.test/g:{{.Run.ID}}", "myregistry.azurecr.test/g:2", "{{.Run.Registry}}/g",
		"elsewhere.example:5000/g", "other.azurecr.io/g"}
	if got := l.Job.Step.Build.Images; !slices.Equal(got, want) {
		t.Errorf("the agent gets %q, want %q", got, want)
	}
}

// Names that cannot be are refused before anything is queued or kept.
func TestWrongImageNames(t *testing.T) {
	w := newWorld(t)
	for name, nearest := range map[string]string{"MyApp:1": "myapp:1", "my app:1": "my-app:1", "app:bad+tag": "app:bad-tag", "app:": "app", "": "",
		"a:b:c": "a:b-c", "app:" + strings.Repeat("x", 129): "x'", "app@sha256:" + strings.Repeat("0", 64): "app", "elsewhere.example:5000/g:1": "g:1"} {
		request := run.Request{Type: "DockerBuildRequest", SourceLocation: "https://git.example/a/b.git", Step: task.Step{ImageNames: []string{"good:1", name}}}
		_, err := w.Schedule(t.Context(), w.registry, request, time.Now())
		if !problem.Is(err, problem.Invalid) || !strings.Contains(err.Error(), nearest) {
			t.Errorf("a run that pushes %q: %v", name, err)
		}
		if strings.Contains(name, ":5000") {
			continue // a task may be given the credential later
		}
		step := &task.Step{Type: "Docker", ContextPath: "https://git.example/a/b.git", ImageNames: []string{name}}
		_, _, err = w.Tasks.Put(t.Context(), resource.Put[task.Properties]{ID: w.registry.Child("tasks", "build"), Now: time.Now(), Properties: task.Properties{Step: step}})
		if !problem.Is(err, problem.Invalid) {
			t.Errorf("a task that pushes %q: %v", name, err)
		}
	}
	if all, _, err := w.List(t.Context(), w.registry, run.Filter{}); err != nil || len(all) > 0 {
		t.Errorf("%d runs were made, %v", len(all), err)
	}
}

// What a task is made from must be there when nobody is who has a folder.
func TestTaskSources(t *testing.T) {
	w := newWorld(t)
	put := func(kind, path string) error {
		step := &task.Step{Type: kind, ContextPath: path, TaskFilePath: "acb.yaml"}
		if kind == "Docker" {
			step.TaskFilePath = ""
		}
		_, _, err := w.Tasks.Put(t.Context(), resource.Put[task.Properties]{ID: w.registry.Child("tasks", "build"), Now: time.Now(), Properties: task.Properties{Step: step}})
		return err
	}
	for _, path := range []string{".", "..", "/src", "app", `C:\src`, "ssh://git.example/a", "file:///src"} {
		for _, kind := range []string{"Docker", "FileTask"} {
			if err := put(kind, path); !problem.Is(err, problem.Invalid) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s from %q: %v", kind, path, err)
			}
		}
	}
	for _, path := range []string{"https://git.example/a.git#main:dir", "HTTPS://git.example/a.tar.gz", "github.com/a/b.git", "git@git.example:a/b", "oci://r.example/a:1"} {
		if err := put("FileTask", path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

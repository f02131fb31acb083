package armapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// taskRun is the body of a task run with a tag, and members beside the request.
func taskRun(tag, beside string) string {
	return `{"location":"eastus","properties":{"forceUpdateTag":"` + tag + `","runRequest":{"type":"EncodedTaskRunRequest","encodedTaskContent":"` + hello + `",
		"values":[{"name":"token","value":"Secret-4711","isSecret":true}],
		"credentials":{"customRegistries":{"a.example":{"userName":{"type":"Opaque","value":"Secret-user"},"password":{"type":"Opaque","value":"Secret-0815"}}}}}}` + beside + `}`
}

func acquire(t *testing.T, w *servertest.World) *lease.Lease {
	t.Helper()
	got, err := w.Stack.Runs.Acquire(t.Context(), lease.Agent{Name: "a", OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Writing a task run makes a run with its identity and its secrets, which nobody else
// sees. The task run is what its run is.
func TestTaskRun(t *testing.T) {
	w := servertest.New(t)
	id := w.Group.In(identity.UserAssigned, "MyId").String()
	client := w.ARMOK(w.Admin, http.MethodPut, id, `{"location":"eastus"}`).At("properties", "clientId")
	path := w.Registry.String() + "/taskRuns/mytaskrun"
	a := w.ARM(w.Admin, http.MethodPut, path, taskRun("1", `,"identity":{"type":"UserAssigned","userAssignedIdentities":{"`+id+`":{}}}`))
	if a.Status != http.StatusCreated || a.At("properties", "provisioningState") != "Creating" || a.Header.Get("Retry-After") != "1" {
		t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
	}
	run, _ := a.At("properties", "runResult", "id").(string)
	got := acquire(t, w)
	if got.Run != run || len(got.Job.Identities) != 1 || got.Job.Identities[0].ClientID != client {
		t.Errorf("the run is %s with %v, want %s with %v", got.Run, got.Job.Identities, run, client)
	}
	if v := got.Job.Step.Values; len(v) != 1 || v[0].Value != "Secret-4711" {
		t.Errorf("the values are %v", v)
	}
	if l := got.Job.Logins; len(l) != 2 || l[1].Password.Reveal() != "Secret-0815" {
		t.Errorf("the logins are %v", l)
	}
	if err := w.Stack.Runs.Complete(context.Background(), got.Key, lease.Result{Status: lease.Succeeded}); err != nil {
		t.Fatal(err)
	}
	b := w.ARMOK(w.Admin, http.MethodGet, path, "")
	if b.At("properties", "provisioningState") != "Succeeded" || b.At("properties", "runResult", "properties", "status") != "Succeeded" || b.Header.Get("Retry-After") != "" {
		t.Errorf("it ends as %v %s", b.Header, b.Body)
	}
	list := w.ARMOK(w.Admin, http.MethodGet, w.Registry.String()+"/taskRuns", "")
	for _, text := range []string{string(a.Body), string(b.Body), string(list.Body)} {
		if strings.Contains(text, "Secret-") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
	if details := string(w.ARMOK(w.Admin, http.MethodPost, path+"/listDetails", "").Body); !strings.Contains(details, "Secret-4711") || !strings.Contains(details, "Secret-0815") {
		t.Errorf("the details are %s", details)
	}
}

// The same again makes no run; another tag or request does, and keeps the secrets.
func TestTaskRunAgain(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/taskRuns/mytaskrun"
	name := func(a servertest.Answer) string {
		text, _ := a.At("properties", "runResult", "name").(string)
		return text
	}
	first := name(w.ARMOK(w.Admin, http.MethodPut, path, taskRun("1", "")))
	if got := name(w.ARMOK(w.Admin, http.MethodPut, path, taskRun("1", ""))); first == "" || got != first {
		t.Errorf("the same again: %q after %q", got, first)
	}
	if got := name(w.ARMOK(w.Admin, http.MethodPatch, path, `{"tags":{"a":"b"}}`)); got != first {
		t.Errorf("a tag of the resource: %q after %q", got, first)
	}
	second := name(w.ARMOK(w.Admin, http.MethodPatch, path, `{"properties":{"forceUpdateTag":"2"}}`))
	if second == first {
		t.Errorf("another tag: %q after %q", second, first)
	}
	third := name(w.ARMOK(w.Admin, http.MethodPatch, path, `{"properties":{"runRequest":{"timeout":900}}}`))
	if third == second {
		t.Errorf("another request: %q after %q", third, second)
	}
	for range 3 {
		if v := acquire(t, w).Job.Step.Values; len(v) != 1 || v[0].Value != "Secret-4711" {
			t.Errorf("the values are %v", v)
		}
	}
}

func TestBadTaskRuns(t *testing.T) {
	w := servertest.New(t)
	for _, test := range []struct {
		name, path, body, code string
		status                 int
	}{
		{"a short name", "/taskRuns/ab", taskRun("1", ""), "InvalidTaskRunName", 400},
		{"no request", "/taskRuns/mytaskrun", `{"properties":{}}`, "InvalidParameterValue", 400},
		{"a request of no type", "/taskRuns/mytaskrun", `{"properties":{"runRequest":{}}}`, "InvalidRequestContent", 400},
		{"a request for a task elsewhere", "/taskRuns/mytaskrun", `{"properties":{"runRequest":{"type":"TaskRunRequest","taskId":"/x"}}}`, "InvalidTaskId", 400},
		{"an identity that is missing", "/taskRuns/mytaskrun", taskRun("1", `,"identity":{"type":"UserAssigned","userAssignedIdentities":{"`+w.Group.In(identity.UserAssigned, "No1").String()+`":{}}}`), "FailedIdentityOperation", 400},
	} {
		if a := w.ARM(w.Admin, http.MethodPut, w.Registry.String()+test.path, test.body); a.Status != test.status || a.At("error", "code") != test.code {
			t.Errorf("%s: want %d %s, got %d %s", test.name, test.status, test.code, a.Status, a.Body)
		}
	}
	if a := w.ARM(w.Admin, http.MethodGet, w.Registry.String()+"/taskRuns/mytaskrun", ""); a.Status != http.StatusNotFound {
		t.Errorf("a task run that was refused: %d %s", a.Status, a.Body)
	}
	if list := w.ARMOK(w.Admin, http.MethodGet, w.Registry.String()+"/runs", "").At("value"); len(list.([]any)) != 0 {
		t.Errorf("refused task runs have made %v", list)
	}
}

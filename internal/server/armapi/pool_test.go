package armapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// quickRun is the body of a request for a run in a pool.
func quickRun(pool string) string {
	return `{"type":"EncodedTaskRunRequest","encodedTaskContent":"` + hello + `","agentPoolName":"` + pool + `"}`
}

// A run for a pool without agents waits and says why; an agent of the pool gets it, and
// no other agent does.
func TestRunInPool(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/agentPools/MyPool"
	w.ARMOK(w.Admin, http.MethodPut, path, `{"location":"eastus","properties":{"count":1,"tier":"s2","os":"Linux"}}`)
	if got := w.ARMOK(w.Admin, http.MethodGet, path, "").At("properties"); got.(map[string]any)["tier"] != "S2" || got.(map[string]any)["provisioningState"] != "Succeeded" {
		t.Errorf("the pool is %v", got)
	}
	queued := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", quickRun("mypool"))
	run, _ := queued.At("id").(string)
	if why, _ := queued.At("properties", "runErrorMessage").(string); !strings.HasPrefix(why, "waiting: the agent pool 'mypool' has no agent for linux/amd64; the run ends at ") {
		t.Errorf("the run waits with %q", why)
	}
	log := w.ARMOK(w.Admin, http.MethodPost, run+"/listLogSasUrl", "").At("logLink").(string)
	if a := w.Do(servertest.Request{Method: http.MethodGet, URL: log}); !strings.Contains(a.Body, "the agent pool 'mypool' has no agent") {
		t.Errorf("the log says %d %q", a.Status, a.Body)
	}
	if n := w.ARMOK(w.Admin, http.MethodPost, path+"/listQueueStatus", "").At("count"); n != 1.0 {
		t.Errorf("%v runs wait", n)
	}
	acquire := func(pool string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := w.Stack.Runs.Acquire(ctx, lease.Agent{Name: "a", Pool: pool, OS: "linux", Arch: "amd64"})
		return err
	}
	if err := acquire(""); err == nil {
		t.Error("an agent of no pool got the run")
	}
	if err := acquire("other"); err == nil {
		t.Error("an agent of another pool got the run")
	}
	if err := acquire("mypool"); err != nil {
		t.Fatal(err)
	}
	if got := w.ARMOK(w.Admin, http.MethodGet, run, "").At("properties"); got.(map[string]any)["status"] != "Started" || got.(map[string]any)["runErrorMessage"] != nil {
		t.Errorf("the run is %v", got)
	}
}

// A deleted pool is seen for a while, takes no runs and cancels those that wait.
func TestDeletePool(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/agentPools/MyPool"
	const body = `{"location":"eastus","properties":{"count":1}}`
	w.ARMOK(w.Admin, http.MethodPut, path, body)
	run, _ := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", quickRun("MyPool")).At("id").(string)
	going := w.ARM(w.Admin, http.MethodDelete, path, "")
	link := strings.TrimPrefix(going.Header.Get("Location"), w.URL("management"))
	if going.Status != http.StatusAccepted || going.Header.Get("Retry-After") != "1" || link == "" {
		t.Fatalf("deleting it answers %d %v", going.Status, going.Header)
	}
	if again := w.ARM(w.Admin, http.MethodDelete, path, ""); again.Status != http.StatusAccepted {
		t.Errorf("deleting what is being deleted answers %d %s", again.Status, again.Body)
	}
	if a := w.ARM(w.Admin, http.MethodGet, link, ""); a.Status != http.StatusAccepted || a.Header.Get("Location") == "" {
		t.Errorf("the deletion is at %d %s", a.Status, a.Body)
	}
	if got := w.ARMOK(w.Admin, http.MethodGet, path, "").At("properties", "provisioningState"); got != "Deleting" {
		t.Errorf("the pool is %v", got)
	}
	if got := w.ARMOK(w.Admin, http.MethodGet, run, "").At("properties", "status"); got != "Canceled" {
		t.Errorf("the run is %v", got)
	}
	for name, a := range map[string]servertest.Answer{
		"a run":    w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", quickRun("MyPool")),
		"a change": w.ARM(w.Admin, http.MethodPut, path, body),
	} {
		if a.Status != http.StatusConflict || a.At("error", "code") != "AgentPoolDeleting" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for w.ARM(w.Admin, http.MethodGet, link, "").Status != http.StatusNoContent {
		if time.Now().After(deadline) {
			t.Fatal("the pool does not go")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if a := w.ARM(w.Admin, http.MethodGet, path, ""); a.Status != http.StatusNotFound {
		t.Errorf("the deletion has ended, and the pool answers %d %s", a.Status, a.Body)
	}
	if list := w.ARMOK(w.Admin, http.MethodGet, w.Registry.String()+"/agentPools", "").At("value"); len(list.([]any)) != 0 {
		t.Errorf("the pools are %v", list)
	}
	if a := w.ARM(w.Admin, http.MethodDelete, path, ""); a.Status != http.StatusNoContent {
		t.Errorf("deleting it again answers %d %s", a.Status, a.Body)
	}
	if a := w.ARM(w.Admin, http.MethodPut, path, body); a.Status != http.StatusCreated {
		t.Errorf("making it anew answers %d %s", a.Status, a.Body)
	}
}

func TestBadPools(t *testing.T) {
	w := servertest.New(t)
	for _, test := range []struct {
		name, path, body, code string
		status                 int
	}{
		{"a short name", "/agentPools/ab", `{}`, "InvalidAgentPoolName", 400},
		{"a long name", "/agentPools/" + strings.Repeat("a", 21), `{}`, "InvalidAgentPoolName", 400},
		{"another system", "/agentPools/pool1", `{"properties":{"os":"Windows"}}`, "NotImplemented", 501},
		{"a network", "/agentPools/pool1", `{"properties":{"virtualNetworkSubnetResourceId":"/x"}}`, "NotImplemented", 501},
		{"an invented tier", "/agentPools/pool1", `{"properties":{"tier":"XXL"}}`, "InvalidParameterValue", 400},
		{"less than nothing", "/agentPools/pool1", `{"properties":{"count":-1}}`, "InvalidParameterValue", 400},
	} {
		if a := w.ARM(w.Admin, http.MethodPut, w.Registry.String()+test.path, test.body); a.Status != test.status || a.At("error", "code") != test.code {
			t.Errorf("%s: want %d %s, got %d %s", test.name, test.status, test.code, a.Status, a.Body)
		}
	}
	a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", quickRun("nowhere"))
	if a.Status != http.StatusNotFound || a.At("error", "code") != "AgentPoolNotFound" {
		t.Errorf("a run for a pool that is not there: %d %s", a.Status, a.Body)
	}
}

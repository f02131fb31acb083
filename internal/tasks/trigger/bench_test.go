package trigger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/access/tenant"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

// bench is an installation with a registry and tasks in it, whose triggers look by themselves.
type bench struct {
	*servertest.Stack
	b        *testing.B
	registry arm.ID
}

func newBench(b *testing.B) *bench {
	b.Helper()
	dir := b.TempDir()
	stack, err := servertest.Build(b.Context(), dir, dir, "127.0.0.1:1")
	must(b, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	group := arm.GroupID(servertest.Subscription, "bench")
	_, _, err = stack.Services.Groups.Put(ctx, resource.Put[tenant.Properties]{ID: group, Location: "eastus", Now: time.Now()})
	must(b, err)
	w := &bench{stack, b, group.In(registry.Kind, "benchregistry")}
	_, _, err = stack.Registries.Put(ctx, resource.Put[registry.Properties]{ID: w.registry, SKU: &arm.SKU{Name: "Premium"}, Now: time.Now()})
	must(b, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = stack.Triggers.Run(ctx)
	}()
	b.Cleanup(func() {
		stop()
		<-done
		must(b, stack.DB.Close())
	})
	return w
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// push gives the tag 1 of a repository other content, and returns its digest.
func (w *bench) push(repository, content string) string {
	w.b.Helper()
	const index = "application/vnd.oci.image.index.v1+json"
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"content":%q}}`, index, content)
	_, err := w.Content.PutManifest(w.b.Context(), registry.Push{Name: registry.Name{Registry: "benchregistry", Repository: repository},
		Reference: "1", MediaType: index, Body: body, Now: time.Now()})
	must(w.b, err)
	return digest.FromBytes(body).String()
}

// task makes a task with a trigger that was built on an image of a repository, if that is not empty.
func (w *bench) task(name, trigger, repository, digest string) {
	w.b.Helper()
	var p task.Properties
	must(w.b, json.Unmarshal([]byte(`{"status":"Enabled",`+step+`,"trigger":`+trigger+`}`), &p))
	id := w.registry.Child("tasks", name)
	_, _, err := w.Tasks.Put(w.b.Context(), resource.Put[task.Properties]{ID: id, Location: "eastus", Properties: p, Now: time.Now()})
	must(w.b, err)
	if repository != "" {
		must(w.b, w.Tasks.Remember(w.b.Context(), id, []task.BaseImage{{Type: "RunTime", Registry: "benchregistry.azurecr." + w.Suffix,
			Repository: repository, Tag: "1", Digest: digest}}))
	}
}

// runs waits until there are n runs.
func (w *bench) wait(n int) {
	w.b.Helper()
	for {
		changed := w.Runs.Changed()
		all, _, err := w.Runs.List(w.b.Context(), w.registry, run.Filter{Top: n})
		must(w.b, err)
		if len(all) >= n {
			return
		}
		<-changed
	}
}

// From the answer to a push to the queued run of the one task, of a thousand, that was built on
// the image. Promised are 30 ms (p50) and 200 ms (p99).
func BenchmarkPushToRun(b *testing.B) {
	w := newBench(b)
	for i := range 1000 {
		repository := fmt.Sprintf("base%d", i)
		w.task(fmt.Sprintf("task-%d", i), onBase, repository, w.push(repository, "0"))
	}
	var took []time.Duration
	for b.Loop() {
		n := len(took)
		w.push(fmt.Sprintf("base%d", n%1000), fmt.Sprint(n+1))
		began := time.Now()
		w.waitFor(n)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// waitFor waits until the task of a repository has a run more than before.
func (w *bench) waitFor(n int) {
	w.b.Helper()
	name := fmt.Sprintf("task-%d", n%1000)
	for {
		changed := w.Runs.Changed()
		all, _, err := w.Runs.List(w.b.Context(), w.registry, run.Filter{Task: name, Top: n/1000 + 1})
		must(w.b, err)
		if len(all) == n/1000+1 {
			return
		}
		<-changed
	}
}

// From the answer to a push to the last queued run of a thousand tasks that were built on the
// image.
func BenchmarkPushToAll(b *testing.B) {
	w := newBench(b)
	first := w.push("base", "0")
	for i := range 1000 {
		w.task(fmt.Sprintf("task-%d", i), onBase, "base", first)
	}
	n := 0
	for b.Loop() {
		n++
		w.push("base", fmt.Sprint(n))
		w.wait(1000 * n)
	}
}

// What ten thousand timers cost when none is due: processor time of a look at the clock.
func BenchmarkIdleTimers(b *testing.B) {
	w := newBench(b)
	for i := range 1000 {
		timers := ""
		for j := range 10 {
			timers += fmt.Sprintf(`,{"name":"t%d","schedule":"0 0 1 1 *"}`, j)
		}
		w.task(fmt.Sprintf("task-%d", i), `{"timerTriggers":[`+timers[1:]+`]}`, "", "")
	}
	now := time.Now()
	for b.Loop() {
		must(b, w.Triggers.Tick(b.Context(), now))
	}
}

package run_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/tenant"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/lease/leasetest"
	"github.com/acrux/acrux/internal/tasks/pool"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/task"
)

const subscription = "00000000-0000-0000-0000-00000000000a"

// world is a control plane without servers.
type world struct {
	*run.Service
	db       *sqlstore.DB
	managed  *identity.Managed
	registry arm.ID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	db, err := sqlstore.Open(ctx, sqlstoretest.Where(t))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	sealer, err := secret.NewSealer(make([]byte, 32))
	must(t, err)
	issuer, err := token.Open(ctx, db, sealer, "tenant", "https://login.test/", time.Now())
	must(t, err)
	logs, err := runlog.Open(filepath.Join(dir, "logs"))
	must(t, err)
	documents := sqlstore.Documents{DB: db}
	directory := &identity.Directory{Store: sqlstore.Principals{DB: db}, TenantID: "tenant"}
	managed := identity.NewManagedService(documents, directory)
	registries := registry.NewRegistries(documents, managed, func(name string) string { return strings.ToLower(name) + ".azurecr.test" })
	w := &world{Service: &run.Service{Store: sqlstore.Runs{DB: db}, Registries: registries, Directory: directory, Issuer: issuer, Sealer: sealer, Logs: logs}, db: db, managed: managed}
	w.Tasks, w.Pools = task.NewService(documents, sqlstore.Secrets{DB: db, Sealer: sealer}, managed, w.Service), pool.NewService(documents, w.Service)
	group := arm.GroupID(subscription, "group")
	_, _, err = tenant.NewGroups(documents).Put(ctx, resource.Put[tenant.Properties]{ID: group, Location: "eastus", Now: time.Now()})
	must(t, err)
	w.registry = group.In(registry.Kind, "myregistry")
	_, _, err = registries.Put(ctx, resource.Put[registry.Properties]{ID: w.registry, SKU: &arm.SKU{Name: "Basic"}, Now: time.Now()})
	must(t, err)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, text string) arm.ID {
	t.Helper()
	id, err := arm.ParseID(text)
	must(t, err)
	return id
}

// encoded is a request for the steps of a task file.
func encoded(file string) run.Request {
	return run.Request{Type: "EncodedTaskRunRequest", Step: task.Step{EncodedTaskContent: base64.StdEncoding.EncodeToString([]byte(file))}}
}

func (w *world) log(t *testing.T, id arm.ID) string {
	t.Helper()
	key := runlog.Key{Registry: id.Parent().String(), RunID: id.Name()}
	size, _, err := w.Logs.Size(key)
	must(t, err)
	var buf bytes.Buffer
	must(t, w.Logs.Copy(&buf, key, 0, size))
	return buf.String()
}

func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

func TestLeaser(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) leasetest.Fixture {
		w := newWorld(t)
		ctx := context.WithoutCancel(t.Context())
		return leasetest.Fixture{
			Leaser: w.Service,
			Queue: func(job lease.Job) string {
				r, err := w.Schedule(ctx, w.registry, encoded(string(job.Step.Task)), time.Now())
				must(t, err)
				return r.ID.String()
			},
			Cancel: func(id string) { must(t, w.Cancel(ctx, parse(t, id), time.Now())) },
			Expire: func(string) { must(t, w.EndLost(ctx, "", time.Now().Add(2*run.Term))) },
			Status: func(id string) string {
				r, err := w.Get(ctx, parse(t, id))
				must(t, err)
				return string(r.Properties.Status)
			},
			Log: func(id string) string { return w.log(t, parse(t, id)) },
		}
	})
}

// A server that starts ends what its own agent left, with the reason in state and log.
func TestEndLostOfAnAgent(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	r, err := w.Schedule(ctx, w.registry, encoded("steps: []"), time.Now())
	must(t, err)
	l, err := w.Acquire(ctx, lease.Agent{Name: "builtin", OS: "linux", Arch: "amd64"})
	must(t, err)
	must(t, w.AppendLog(ctx, l.Key, 0, []byte("working\r\n")))
	must(t, w.EndLost(ctx, "another", time.Now()))
	if got, err := w.Get(ctx, r.ID); err != nil || got.Properties.Status != run.Started {
		t.Fatalf("after the start of another agent: %v, %v", got.Properties.Status, err)
	}
	must(t, w.EndLost(ctx, "builtin", time.Now()))
	got, err := w.Get(ctx, r.ID)
	must(t, err)
	if got.Properties.Status != "Error" || got.Properties.RunErrorMessage == nil || !strings.Contains(*got.Properties.RunErrorMessage, "'builtin' stopped") {
		t.Errorf("the run is %s: %v", got.Properties.Status, got.Properties.RunErrorMessage)
	}
	if log := w.log(t, r.ID); !strings.HasPrefix(log, "working\r\n\r\nRun ID: "+r.Properties.RunID+" failed after 0s. Error: the agent 'builtin' stopped") {
		t.Errorf("the log is %q", log)
	}
	if err := w.AppendLog(ctx, l.Key, 9, []byte("late")); err == nil {
		t.Error("the late agent may still write")
	}
	if active, err := w.Active(ctx, r.ID.Key()); err != nil || active {
		t.Errorf("the run is active: %v, %v", active, err)
	}
}

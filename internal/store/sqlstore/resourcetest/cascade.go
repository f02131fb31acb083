package resourcetest

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
)

func deleteBelow(t *testing.T, s Stores) {
	plant(t, s, group, registryA, taskA, registryB, taskB, other)
	must(t, s.Documents.Delete(t.Context(), registryA))
	same(t, list(t, s, arm.ID{}, arm.Kind{}), []string{group.String(), registryB.String(), taskB.String(), other.String()})
	must(t, s.Documents.Delete(t.Context(), group))
	same(t, list(t, s, arm.ID{}, arm.Kind{}), []string{other.String()})
}

// belongings gives a registry and its task one of everything.
func belongings(t *testing.T, s Stores, reg, task arm.ID) {
	t.Helper()
	ctx, name := t.Context(), reg.Name()
	must(t, s.Secrets.PutSecret(ctx, task, "token", secret.New("hush "+name)))
	p := identity.Principal{ObjectID: identity.ObjectID("o-" + name), ClientID: identity.ClientID("c-" + name), Kind: identity.ManagedIdentity, DisplayName: name, Resource: task.String(), Created: when}
	must(t, s.Principals.PutPrincipal(ctx, p))
	// A right that the task has elsewhere, and one that someone else has on the registry.
	must(t, s.Assignments.PutAssignment(ctx, rbac.Assignment{Name: "elsewhere-" + name, Scope: other, PrincipalID: p.ObjectID, RoleID: "role", Created: when}))
	must(t, s.Assignments.PutAssignment(ctx, rbac.Assignment{Name: "here-" + name, Scope: reg, PrincipalID: "stranger", RoleID: "role", Created: when}))
	repository := registry.Name{Registry: lower(name), Repository: "hello"}
	must(t, s.Registry.EnsureRepository(ctx, repository, when))
	must(t, s.Registry.PutManifest(ctx, repository, registry.Manifest{Digest: digest.FromString("same in both"), Body: []byte("same in both"), Created: when, Updated: when}))
	must(t, s.Registry.PutTag(ctx, repository, "v1", digest.FromString("same in both"), when))
	must(t, s.Registry.PutUpload(ctx, registry.Upload{ID: "upload-" + name, Name: repository, State: blob.State{Key: "k", Hash: []byte("h")}, Version: 1}))
	must(t, s.Runs.InTx(ctx, func(ctx context.Context) error {
		return s.Runs.PutRun(ctx, run.Row{Registry: reg, Number: 1, Task: task, Status: run.Queued, OS: "linux", Arch: "amd64", Created: when, Properties: run.Properties{RunID: "ca1"}})
	}))
}

// lower: registries' contents are found by the name in lower case.
func lower(name string) string {
	if name == "Reg" {
		return "reg"
	}
	return "reg2"
}

// left says what of the belongings is still there.
func left(t *testing.T, s Stores, reg, task arm.ID) []string {
	t.Helper()
	ctx, name := t.Context(), reg.Name()
	found := []string{}
	note := func(what string, there bool) {
		if there {
			found = append(found, what)
		}
	}
	secrets, err := s.Secrets.Secrets(ctx, task)
	must(t, err)
	note("secret", secrets["token"].Reveal() == "hush "+name)
	_, err = s.Principals.Principal(ctx, identity.ObjectID("o-"+name))
	note("principal", err == nil)
	_, err = s.Assignments.Assignment(ctx, other, "elsewhere-"+name)
	note("right elsewhere", err == nil)
	_, err = s.Assignments.Assignment(ctx, reg, "here-"+name)
	note("right here", err == nil)
	_, err = s.Registry.Manifest(ctx, registry.Name{Registry: lower(name), Repository: "hello"}, "v1")
	note("manifest", err == nil)
	_, err = s.Registry.Upload(ctx, "upload-"+name)
	note("upload", err == nil)
	_, err = s.Runs.Run(ctx, reg, "ca1")
	note("run", err == nil)
	_, err = s.Runs.NextQueued(ctx, lease.Agent{OS: "linux", Arch: "amd64"})
	note("queue", err == nil)
	return found
}

var everything = []string{"secret", "principal", "right elsewhere", "right here", "manifest", "upload", "run", "queue"}

func cascade(t *testing.T, s Stores) {
	plant(t, s, group, other, registryA, taskA)
	belongings(t, s, registryA, taskA)
	same(t, left(t, s, registryA, taskA), everything)
	must(t, s.Documents.Delete(t.Context(), group))
	same(t, left(t, s, registryA, taskA), []string{})
	_, err := s.Documents.Get(t.Context(), taskA)
	is(t, err, resource.ErrNotFound)
}

func neighbours(t *testing.T, s Stores) {
	plant(t, s, group, other, registryA, taskA, registryB, taskB)
	belongings(t, s, registryA, taskA)
	belongings(t, s, registryB, taskB)
	must(t, s.Documents.Delete(t.Context(), registryA))
	same(t, left(t, s, registryA, taskA), []string{"queue"}) // the neighbour's run
	same(t, left(t, s, registryB, taskB), everything)
}

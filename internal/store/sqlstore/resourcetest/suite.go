// Package resourcetest has the suite that every resource.Store passes: what a store
// promises about documents, their keys, and all that goes when a document goes.
package resourcetest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/tasks/run"
)

// Stores are the stores of one database: the documents under test, and the others
// that a cascading delete reaches.
type Stores struct {
	Documents   resource.Store
	Secrets     resource.Secrets
	Principals  identity.Store
	Assignments rbac.Store
	Registry    registry.Store
	Runs        run.Store
}

// Run runs the suite. new is called once for each test and returns empty stores.
func Run(t *testing.T, new func(t *testing.T) Stores) {
	tests := map[string]func(*testing.T, Stores){
		"a document comes back as it was":          roundTrip,
		"what is missing":                          missing,
		"put replaces":                             replaces,
		"case is kept and does not count":          casing,
		"list in order of the keys":                order,
		"list one kind":                            kinds,
		"a scope contains no name that begins so":  prefixes,
		"lookup by key":                            lookup,
		"a key belongs to one document of a kind":  duplicate,
		"a key is free again":                      freed,
		"delete takes documents below":             deleteBelow,
		"delete takes what hangs on it":            cascade,
		"delete keeps the neighbours' belongings":  neighbours,
		"a failed transaction leaves nothing":      rollback,
		"a transaction within a transaction joins": nested,
		"a transaction sees its own writes":        ownWrites,
		"a list is read in parts":                  parts,
		"what comes and goes between parts":        partsChange,
		"a list of what lies at some places":       onlySome,
		"documents are found by terms":             terms,
		"terms follow the document":                termsFollow,
		"children are counted":                     counts,
		"tags are counted":                         tagCounts,
		"assignments are listed by scope":          assignmentsBy,
		"assignments are listed in parts":          assignmentParts,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, new(t)) })
	}
}

// The tree that tests plant: reg and reg2 show that containment is by segment.
var (
	group     = arm.GroupID("5ub", "Group")
	other     = arm.GroupID("5ub", "Group2")
	registryA = group.In(registry.Kind, "Reg")
	registryB = group.In(registry.Kind, "Reg2")
	taskKind  = arm.NewKind("Microsoft.ContainerRegistry/registries/tasks")
	taskA     = registryA.Child("tasks", "build")
	taskB     = registryB.Child("tasks", "build")
	when      = time.Date(2026, 11, 23, 10, 20, 30, 123456000, time.UTC)
)

// kindOf is the kind of a document, groups included.
func kindOf(id arm.ID) arm.Kind {
	if id.Namespace == "" {
		return resource.Groups
	}
	return id.Kind()
}

func document(id arm.ID, keys map[string]string) resource.Document {
	return resource.Document{ID: id, Kind: kindOf(id), Location: "eastus", Tags: map[string]string{"a": "1"}, SKU: &arm.SKU{Name: "Basic", Tier: "Basic"},
		Identity:   &arm.Identity{System: &arm.SystemIdentity{PrincipalID: "p", TenantID: "t"}, User: map[string]arm.UserIdentity{"/X": {ClientID: "c", PrincipalID: "q"}}},
		Properties: json.RawMessage(`{"b":[1,2]}`), ETag: `"e"`, Created: when, Updated: when.Add(time.Second), CreatedBy: "c", UpdatedBy: "u", Keys: keys}
}

func plant(t *testing.T, s Stores, ids ...arm.ID) {
	t.Helper()
	for _, id := range ids {
		var keys map[string]string
		if kindOf(id).Key() == registry.Kind.Key() {
			keys = map[string]string{"registry": id.Name()}
		}
		must(t, s.Documents.Put(t.Context(), document(id, keys)))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is fails the test unless err is what is wanted.
func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func names(docs []resource.Document) []string {
	all := []string{}
	for _, doc := range docs {
		all = append(all, doc.ID.String())
	}
	return all
}

func list(t *testing.T, s Stores, scope arm.ID, kind arm.Kind) []string {
	t.Helper()
	docs, err := s.Documents.List(t.Context(), resource.Below(scope, kind))
	must(t, err)
	return names(docs)
}

package resourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
)

// inParts reads a list in parts of n, and calls between after each.
func inParts(t *testing.T, s Stores, q resource.Query, n int, between func()) []string {
	t.Helper()
	all := []string{}
	for q.N = n; ; {
		docs, err := s.Documents.List(t.Context(), q)
		must(t, err)
		if len(docs) > n {
			t.Fatalf("a part of %d has %d", n, len(docs))
		}
		all = append(all, names(docs)...)
		if len(docs) < n {
			return all
		}
		q.After = docs[n-1].ID.Key()
		between()
	}
}

func nothing() {}

func parts(t *testing.T, s Stores) {
	plant(t, s, group, registryA, registryB, taskA, taskB, registryA.Child("tasks", "build-2"), registryA.Child("tasks", "build2"), other)
	for _, q := range []resource.Query{resource.Below(arm.ID{}, arm.Kind{}), resource.Below(group, taskKind), resource.Below(registryA, taskKind), resource.Below(arm.ID{}, resource.Groups)} {
		want := list(t, s, q.Scope, q.Kind)
		for n := 1; n < 9; n++ {
			same(t, inParts(t, s, q, n, nothing), want)
		}
	}
}

func partsChange(t *testing.T, s Stores) {
	var stay []string
	for i := range 20 {
		id := registryA.Child("tasks", fmt.Sprintf("stays%02d", i))
		stay = append(stay, id.String())
		plant(t, s, id, registryA.Child("tasks", fmt.Sprintf("goes%02d", i)), registryA.Child("tasks", fmt.Sprintf("stays%02d-goes", i)))
	}
	round := 0
	seen := inParts(t, s, resource.Below(registryA, taskKind), 3, func() {
		if round < 20 {
			must(t, s.Documents.Delete(t.Context(), registryA.Child("tasks", fmt.Sprintf("goes%02d", round))))
			must(t, s.Documents.Delete(t.Context(), registryA.Child("tasks", fmt.Sprintf("stays%02d-goes", 19-round))))
			plant(t, s, registryA.Child("tasks", fmt.Sprintf("comes%02d", round)), registryA.Child("tasks", fmt.Sprintf("stays%02d-comes", round)))
		}
		round++
	})
	for _, id := range stay {
		if n := count(seen, id); n != 1 {
			t.Errorf("%s was there all the time and is listed %d times", id, n)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(seen)))) != len(seen) {
		t.Errorf("something is listed twice: %v", seen)
	}
}

func count(all []string, one string) (n int) {
	for _, have := range all {
		if have == one {
			n++
		}
	}
	return n
}

func onlySome(t *testing.T, s Stores) {
	dashed := group.In(registry.Kind, "Reg-2")
	plant(t, s, group, registryA, dashed, registryB, taskA, dashed.Child("tasks", "build"), taskB, other, other.In(registry.Kind, "Reg3"))
	for _, test := range []struct {
		only []arm.ID
		q    resource.Query
		want []arm.ID
	}{
		{[]arm.ID{registryA}, resource.Below(arm.ID{}, registry.Kind), []arm.ID{registryA}},
		{[]arm.ID{registryA, dashed}, resource.Below(group, taskKind), []arm.ID{dashed.Child("tasks", "build"), taskA}},
		{[]arm.ID{registryA, dashed}, resource.Below(group, arm.Kind{}), []arm.ID{registryA, dashed, dashed.Child("tasks", "build"), taskA}},
		{[]arm.ID{group}, resource.Below(group, registry.Kind), []arm.ID{registryA, dashed, registryB}},
		{[]arm.ID{{}}, resource.Below(group, registry.Kind), []arm.ID{registryA, dashed, registryB}},
		{[]arm.ID{other}, resource.Below(group, registry.Kind), nil},
		{[]arm.ID{taskB}, resource.Below(group, registry.Kind), nil},
		{[]arm.ID{other}, resource.Below(arm.ID{}, resource.Groups), []arm.ID{other}},
		{[]arm.ID{}, resource.Below(arm.ID{}, registry.Kind), nil},
	} {
		want := []string{}
		for _, id := range test.want {
			want = append(want, id.String())
		}
		test.q.Only = test.only
		for n := 1; n < 6; n++ {
			same(t, inParts(t, s, test.q, n, nothing), want)
		}
	}
}

// tagged writes a registry with tags and a location.
func tagged(t *testing.T, s Stores, id arm.ID, location string, tags map[string]string) {
	t.Helper()
	doc := document(id, nil)
	doc.Location, doc.Tags, doc.Identity = location, tags, &arm.Identity{User: map[string]arm.UserIdentity{"/Identity/" + id.Name(): {}}}
	must(t, s.Documents.Put(t.Context(), doc))
}

func found(t *testing.T, s Stores, terms ...resource.Term) []string {
	t.Helper()
	q := resource.Below(arm.ID{}, registry.Kind)
	q.Terms = terms
	return inParts(t, s, q, 2, nothing)
}

func terms(t *testing.T, s Stores) {
	tagged(t, s, registryA, "eastus", map[string]string{"Team": "Red", "x": "1"})
	tagged(t, s, registryB, "EastUS", map[string]string{"team": "red"})
	tagged(t, s, other.In(registry.Kind, "Reg3"), "westus", map[string]string{"x": "zero \x00"})
	plant(t, s, registryA.Child("tasks", "reg2"))
	a, b, c := registryA.String(), registryB.String(), other.In(registry.Kind, "Reg3").String()
	same(t, found(t, s, resource.NameTerm("REG2")), []string{b})
	same(t, found(t, s, resource.NameTerm("reg")), []string{a})
	same(t, found(t, s, resource.LocationTerm("eastus")), []string{a, b})
	same(t, found(t, s, resource.TagTerm("TEAM")), []string{a, b})
	same(t, found(t, s, resource.TagValueTerm("TEAM", "Red")), []string{a})
	same(t, found(t, s, resource.TagTerm("x"), resource.LocationTerm("westus")), []string{c})
	same(t, found(t, s, resource.TagValueTerm("x", "zero \x00")), []string{c})
	same(t, found(t, s, resource.NameTerm("reg"), resource.LocationTerm("westus")), []string{})
	same(t, found(t, s, resource.IdentityTerm("/identity/REG2")), []string{b})
	_, err := s.Documents.List(t.Context(), resource.Query{Terms: []resource.Term{resource.NameTerm("reg")}})
	if err == nil {
		t.Error("terms without a kind are taken")
	}
}

func termsFollow(t *testing.T, s Stores) {
	tagged(t, s, registryA, "eastus", map[string]string{"a": "1", "b": "2"})
	tagged(t, s, registryA, "westus", map[string]string{"b": "2", "c": "3"})
	same(t, found(t, s, resource.LocationTerm("eastus")), []string{})
	same(t, found(t, s, resource.TagTerm("a")), []string{})
	for _, term := range []resource.Term{resource.LocationTerm("westus"), resource.TagValueTerm("b", "2"), resource.TagTerm("c")} {
		same(t, found(t, s, term), []string{registryA.String()})
	}
	must(t, s.Documents.Delete(t.Context(), registryA))
	same(t, found(t, s, resource.LocationTerm("westus")), []string{})
	tagged(t, s, registryA, "northus", nil)
	same(t, found(t, s, resource.LocationTerm("northus")), []string{registryA.String()})
	same(t, found(t, s, resource.TagTerm("b")), []string{})
}

func counts(t *testing.T, s Stores) {
	is := func(parent arm.ID, kind arm.Kind, want int64) {
		t.Helper()
		n, err := s.Documents.Count(t.Context(), parent, kind)
		must(t, err)
		same(t, n, want)
	}
	is(registryA, taskKind, 0)
	second := registryA.Child("tasks", "second")
	plant(t, s, group, registryA, registryB, taskA, taskA, second, taskB)
	is(group, registry.Kind, 2)
	is(registryA, taskKind, 2)
	is(arm.SubscriptionID(group.Subscription), resource.Groups, 1)
	must(t, s.Documents.Delete(t.Context(), second))
	is(registryA, taskKind, 1)
	failure := errors.New("enough")
	if err := s.Documents.InTx(t.Context(), func(ctx context.Context) error {
		must(t, s.Documents.Put(ctx, document(second, nil)))
		return failure
	}); !errors.Is(err, failure) {
		t.Error(err)
	}
	is(registryA, taskKind, 1)
	must(t, s.Documents.Delete(t.Context(), registryA))
	is(group, registry.Kind, 1)
	is(registryA, taskKind, 0)
	plant(t, s, registryA, second)
	is(registryA, taskKind, 1)
	is(registryB, taskKind, 1)
	is(group, registry.Kind, 2)
}

// assign writes assignments with the names at a scope.
func assign(t *testing.T, s Stores, scope arm.ID, who identity.ObjectID, names ...string) {
	t.Helper()
	for _, name := range names {
		must(t, s.Assignments.PutAssignment(t.Context(), rbac.Assignment{Name: name, Scope: scope, PrincipalID: who, RoleID: "role of " + name, Created: when}))
	}
}

func assignmentsIn(t *testing.T, s Stores, q rbac.Query, n int) []string {
	t.Helper()
	all := []string{}
	for q.N = n; ; {
		some, err := s.Assignments.Assignments(t.Context(), q)
		must(t, err)
		for _, a := range some {
			all = append(all, a.Name)
		}
		if n == 0 || len(some) < n {
			return all
		}
		q.After = some[n-1].Place()
	}
}

func assignmentsBy(t *testing.T, s Stores) {
	sub := arm.SubscriptionID(group.Subscription)
	assign(t, s, arm.ID{}, "One", "root1", "root2")
	assign(t, s, sub, "two", "sub")
	assign(t, s, group, "one", "group")
	assign(t, s, registryA, "one", "reg1", "REG3")
	assign(t, s, registryA, "two", "reg2")
	assign(t, s, registryB, "one", "other")
	assign(t, s, taskA, "two", "task")
	assign(t, s, group.In(registry.Kind, "Reg-2"), "one", "dashed")
	for _, test := range []struct {
		q    rbac.Query
		want []string
	}{
		{rbac.Query{At: registryA.Scopes(), Anybody: true}, []string{"root1", "root2", "sub", "group", "reg1", "reg2", "reg3"}},
		{rbac.Query{At: registryA.Scopes(), Principal: "ONE"}, []string{"root1", "root2", "group", "reg1", "reg3"}},
		{rbac.Query{At: registryA.Scopes(), Below: []arm.ID{registryA}, Anybody: true}, []string{"root1", "root2", "sub", "group", "reg1", "reg2", "reg3", "task"}},
		{rbac.Query{Below: []arm.ID{sub}, Principal: "one"}, []string{"group", "reg1", "reg3", "dashed", "other"}},
		{rbac.Everywhere("one"), []string{"root1", "root2", "group", "reg1", "reg3", "dashed", "other"}},
		{rbac.Everywhere(""), []string{}},
		{rbac.Query{At: registryA.Scopes()}, []string{}},
		{rbac.Query{At: []arm.ID{{}}, Below: []arm.ID{{}}, Anybody: true}, []string{"root1", "root2", "sub", "group", "reg1", "reg2", "reg3", "dashed", "task", "other"}},
		{rbac.Query{At: []arm.ID{{}}, Below: []arm.ID{{}}, Principal: "nobody"}, []string{}},
		{rbac.Query{At: []arm.ID{other}, Anybody: true}, []string{}},
	} {
		for n := range 9 {
			same(t, assignmentsIn(t, s, test.q, n), test.want)
		}
	}
}

func assignmentParts(t *testing.T, s Stores) {
	assign(t, s, registryA, "one", "a", "c", "e", "g")
	q := rbac.Query{Below: []arm.ID{group}, Anybody: true, N: 2}
	some, err := s.Assignments.Assignments(t.Context(), q)
	must(t, err)
	q.After = some[1].Place() // c, which goes; b comes before and d after it
	must(t, s.Assignments.DeleteAssignment(t.Context(), registryA, "c"))
	assign(t, s, registryA, "one", "b", "d")
	q.N = 9
	rest, err := s.Assignments.Assignments(t.Context(), q)
	must(t, err)
	seen := []string{}
	for _, a := range append(some, rest...) {
		seen = append(seen, a.Name)
	}
	same(t, seen, []string{"a", "c", "d", "e", "g"})
}

func tagCounts(t *testing.T, s Stores) {
	tags := func(after string, n int, want ...resource.TagCount) {
		t.Helper()
		all, err := s.Documents.Tags(t.Context(), after, n)
		must(t, err)
		same(t, all, want)
	}
	tags("", 0)
	tagged(t, s, registryA, "eastus", map[string]string{"Team": "red", "x": "1"})
	tagged(t, s, registryB, "eastus", map[string]string{"team": "blue"})
	tagged(t, s, registryA.Child("tasks", "one"), "eastus", map[string]string{"TEAM": "red"})
	tags("", 0, resource.TagCount{Name: "team", Value: "blue", N: 1}, resource.TagCount{Name: "Team", Value: "red", N: 2}, resource.TagCount{Name: "x", Value: "1", N: 1})
	tags("", 1, resource.TagCount{Name: "team", Value: "blue", N: 1}, resource.TagCount{Name: "Team", Value: "red", N: 2})
	tags("Team", 1, resource.TagCount{Name: "x", Value: "1", N: 1})
	tagged(t, s, registryA, "eastus", map[string]string{"team": "blue"})
	tags("", 0, resource.TagCount{Name: "team", Value: "blue", N: 2}, resource.TagCount{Name: "Team", Value: "red", N: 1})
	must(t, s.Documents.Delete(t.Context(), registryA))
	tags("", 0, resource.TagCount{Name: "team", Value: "blue", N: 1})
	must(t, s.Documents.Delete(t.Context(), registryB))
	tags("", 0)
}

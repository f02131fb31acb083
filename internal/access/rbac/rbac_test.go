package rbac_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

func roleNamed(t *testing.T, name string) rbac.Role {
	t.Helper()
	for _, r := range rbac.Roles() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no role %s", name)
	return rbac.Role{}
}

// The patterns of role definitions, by way of roles made of one.
func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, action string
		want            bool
	}{
		{"a/b/read", "a/b/read", true},
		{"a/b/read", "A/B/Read", true},
		{"A/B/Read", "a/b/read", true},
		{"a/b/read", "a/b/reader", false},
		{"a/b/read", "x/a/b/read", false},
		{"*", "a/b", true},
		{"*", "", true},
		{"*/read", "a/b/read", true},
		{"*/read", "/read", true},
		{"*/read", "read", false},
		{"*/read", "a/read/write", false},
		{"a/*", "a/b/c", true},
		{"a/*", "ab/c", false},
		{"a/*/write", "a/b/c/write", true},
		{"a/*/write", "a/write", false},
		{"a/*/b/*/c", "a/1/b/2/c", true},
		{"a/*/b/*/c", "a/b/c", false},
		{"ab*ba", "aba", false}, // the same letter serves once
		{"a**b", "ab", true},
		{"", "a", false},
		{"", "", true},
	} {
		if got := (rbac.Role{Actions: []string{test.pattern}}).Permits(test.action); got != test.want {
			t.Errorf("%q permits %q: %v", test.pattern, test.action, got)
		}
		if got := (rbac.Role{Actions: []string{"*"}, NotActions: []string{test.pattern}}).Permits(test.action); got == test.want {
			t.Errorf("%q excepts %q: %v", test.pattern, test.action, !got)
		}
	}
}

func TestBuiltinRoles(t *testing.T) {
	for _, test := range []struct {
		role, action string
		want         bool
	}{
		{"AcrPull", rbac.ActionPull, true},
		{"AcrPull", rbac.ActionPush, false},
		{"AcrPull", rbac.ActionMetadataRead, false},
		{"AcrPull", "Microsoft.ContainerRegistry/registries/read", false},
		{"AcrPush", rbac.ActionPush, true},
		{"AcrPush", rbac.ActionDelete, false},
		{"AcrDelete", rbac.ActionDelete, true},
		{"AcrDelete", rbac.ActionPull, false},
		{"Reader", "Microsoft.ContainerRegistry/registries/tasks/listDetails/action", false},
		{"Reader", rbac.ActionPull, true}, // in Azure as well
		{"Contributor", "Microsoft.Authorization/roleAssignments/write", false},
		{"Contributor", "microsoft.authorization/ROLEASSIGNMENTS/DELETE", false},
		{"Contributor", "Microsoft.Authorization/roleAssignments/read", true},
		{"Contributor", rbac.ActionImport, true},
		{"Owner", "Microsoft.Authorization/roleAssignments/write", true},
		{"User Access Administrator", "Microsoft.Authorization/roleAssignments/write", true},
		{"User Access Administrator", rbac.ActionPush, false},
		{"Managed Identity Operator", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", true},
		{"Managed Identity Contributor", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", false},
	} {
		if got := roleNamed(t, test.role).Permits(test.action); got != test.want {
			t.Errorf("%s permits %s: %v", test.role, test.action, got)
		}
	}
	ids := map[string]string{}
	for _, r := range rbac.Roles() {
		if other, taken := ids[r.ID]; taken {
			t.Errorf("%s and %s have one ID", r.Name, other)
		}
		ids[r.ID] = r.Name
		if got, ok := rbac.RoleByID(strings.ToUpper(r.ID)); !ok || got.Name != r.Name {
			t.Errorf("%s is not found by its ID in capitals", r.Name)
		}
	}
}

var (
	group      = arm.GroupID("5ub", "Group")
	registries = arm.NewKind("Microsoft.ContainerRegistry/registries")
	reg        = group.In(registries, "Reg")
	reg2       = group.In(registries, "Reg2")
)

// world is a checker on a database, with a managed identity in it.
func world(t *testing.T) (*rbac.Checker, identity.Principal) {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstoretest.Where(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	directory := &identity.Directory{Store: sqlstore.Principals{DB: db}, TenantID: "tenant"}
	p := identity.Principal{ObjectID: "object-1", ClientID: "client-1", Kind: identity.ManagedIdentity, DisplayName: "MyId", Resource: "/subscriptions/5ub/x", Created: time.Now()}
	if err := directory.PutPrincipal(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return &rbac.Checker{Store: sqlstore.Assignments{DB: db}, Directory: directory}, p
}

func assign(t *testing.T, c *rbac.Checker, name string, who identity.ObjectID, role string, scope arm.ID) {
	t.Helper()
	err := c.Store.PutAssignment(t.Context(), rbac.Assignment{Name: name, Scope: scope, PrincipalID: who, RoleID: roleNamed(t, role).ID, Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
}

// An assignment counts at its scope and below, nowhere else.
func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

func TestScopes(t *testing.T) {
	scopes := map[string]arm.ID{"root": {}, "subscription": arm.SubscriptionID("5UB"), "group": arm.GroupID("5ub", "GROUP"), "registry": reg, "sibling": reg2,
		"task": reg.Child("tasks", "t"), "other group": arm.GroupID("5ub", "Group2"), "other subscription": arm.SubscriptionID("5ub2")}
	for at, counts := range map[string][]string{
		"root":         {"root", "subscription", "group", "registry", "sibling", "task", "other group", "other subscription"},
		"subscription": {"subscription", "group", "registry", "sibling", "task", "other group"},
		"group":        {"group", "registry", "sibling", "task"},
		"registry":     {"registry", "task"},
		"task":         {"task"},
		"sibling":      {"sibling"},
	} {
		c, p := world(t)
		assign(t, c, "one", p.ObjectID, "Reader", scopes[at])
		for name, scope := range scopes {
			d, err := c.Check(t.Context(), p.ObjectID, "Microsoft.ContainerRegistry/registries/read", scope)
			if err != nil || d.Allowed != slices.Contains(counts, name) {
				t.Errorf("given at the %s, asked at the %s: %v, %v", at, name, d.Allowed, err)
			}
		}
	}
}

// A denial says who was refused what and where, what was looked at, and what helps.
func TestExplanation(t *testing.T) {
	c, p := world(t)
	check := func(action string, who identity.ObjectID) rbac.Decision {
		d, err := c.Check(t.Context(), who, action, reg)
		if err != nil || d.Allowed {
			t.Fatal(d, err)
		}
		return d
	}
	who := "The managed identity 'MyId' (principalId object-1, clientId client-1, id /subscriptions/5ub/x)"
	same(t, check(rbac.ActionPull, p.ObjectID).Explain(), who+" may not perform '"+rbac.ActionPull+"' on '"+reg.String()+"'. It has no role assignment at all.")
	assign(t, c, "a", p.ObjectID, "AcrPull", reg2)
	assign(t, c, "b", p.ObjectID, "AcrDelete", group)
	assign(t, c, "c", p.ObjectID, "AcrImageSigner", reg2)
	assign(t, c, "d", "someone else", "Owner", group)
	d := check(rbac.ActionPull, p.ObjectID)
	same(t, d.Explain(), who+" may not perform '"+rbac.ActionPull+"' on '"+reg.String()+"'. Role assignments looked at:"+
		" AcrPull at "+reg2.String()+" permits the action, but not at this scope;"+
		" AcrDelete at "+group.String()+" covers this scope, but does not permit the action;"+
		" AcrImageSigner at "+reg2.String()+" covers neither this scope nor the action.")
	same(t, d.Fix(), "az role assignment create --assignee object-1 --scope "+reg.String()+" --role AcrPull")
	problem := d.Problem()
	same(t, problem.Code, "AuthorizationFailed")
	same(t, problem.Hints, []string{d.Fix()})
	if !strings.HasPrefix(problem.Message, "The client 'object-1' with object id 'object-1' does not have authorization to perform action '"+rbac.ActionPull+"' over scope '"+reg.String()+"' or the scope is invalid.") {
		t.Error(problem.Message)
	}
	same(t, check(rbac.ActionPull, "nobody").Who(), "the principal (principalId nobody)")
	for action, role := range map[string]string{rbac.ActionPush: "AcrPush", rbac.ActionDelete: "AcrDelete", rbac.ActionCatalog: "Reader",
		"Microsoft.ContainerRegistry/registries/tasks/write": "Contributor", "Microsoft.Authorization/roleAssignments/write": "'Role Based Access Control Administrator'",
		"Microsoft.ManagedIdentity/userAssignedIdentities/assign/action": "'Managed Identity Operator'"} {
		d.Action = action
		if !strings.HasSuffix(d.Fix(), " --role "+role) {
			t.Errorf("%s: %s", action, d.Fix())
		}
	}
}

// Who is disabled may nothing, whatever it was given.
func TestDisabled(t *testing.T) {
	c, p := world(t)
	assign(t, c, "a", p.ObjectID, "Owner", arm.ID{})
	for _, disabled := range []bool{false, true, false} {
		p.Disabled = disabled
		if err := c.Directory.PutPrincipal(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		d, err := c.Check(t.Context(), p.ObjectID, rbac.ActionPull, reg)
		if err != nil || d.Allowed == disabled {
			t.Error(d, err)
		}
		if disabled && (!strings.HasSuffix(d.Explain(), " It is disabled.") || d.Fix() != "") {
			t.Error(d.Explain(), d.Fix())
		}
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The same right twice is refused under another name and accepted under its own.
func TestAssignments(t *testing.T) {
	c, p := world(t)
	ctx := context.WithoutCancel(t.Context())
	a := rbac.Assignment{Name: "ONE", Scope: reg, PrincipalID: p.ObjectID, RoleID: roleNamed(t, "AcrPull").ID, Created: time.Now()}
	for range 2 {
		if err := c.Store.PutAssignment(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	b := a
	b.Name = "two"
	if err := c.Store.PutAssignment(ctx, b); !errors.Is(err, rbac.ErrDuplicate) {
		t.Errorf("the error is %v", err)
	}
	if err := c.Store.DeleteAssignment(ctx, reg, "one"); err != nil {
		t.Error(err)
	}
	if err := c.Store.DeleteAssignment(ctx, reg, "one"); !errors.Is(err, rbac.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
}

// Nobody may do anything, and who has nothing at a scope is told where he may do it.
func TestWhere(t *testing.T) {
	c, p := world(t)
	const read = "Microsoft.ContainerRegistry/registries/read"
	where := func(who identity.ObjectID, scope arm.ID, want ...arm.ID) {
		t.Helper()
		got, err := c.Where(t.Context(), who, read, scope)
		if err != nil || !slices.EqualFunc(got, want, arm.ID.Equal) {
			t.Errorf("%s at %s: %v, %v; want %v", who, scope, got, err, want)
		}
	}
	assign(t, c, "other", "somebody else", "Owner", arm.ID{})
	where(p.ObjectID, group)
	where("", group)
	if d, err := c.Check(t.Context(), "", read, reg); err != nil || d.Allowed {
		t.Errorf("nobody is allowed: %v, %v", d, err)
	}
	assign(t, c, "task", p.ObjectID, "Reader", reg.Child("tasks", "t"))
	assign(t, c, "pull", p.ObjectID, "AcrPull", reg2)
	assign(t, c, "two", p.ObjectID, "Reader", reg2)
	where(p.ObjectID, group, reg.Child("tasks", "t"), reg2)
	assign(t, c, "reg", p.ObjectID, "Reader", reg)
	where(p.ObjectID, group, reg, reg2)
	where(p.ObjectID, reg, reg)
	where(p.ObjectID, reg.Child("tasks", "t"), reg.Child("tasks", "t"))
	p.Disabled = true
	if err := c.Directory.PutPrincipal(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	where(p.ObjectID, group)
}

// An explanation of who has many assignments names some, those that cover the scope first of all.
func TestLongExplanation(t *testing.T) {
	c, p := world(t)
	assign(t, c, "here", p.ObjectID, "AcrDelete", group)
	for i := range 30 {
		assign(t, c, fmt.Sprintf("there%02d", i), p.ObjectID, "AcrPull", group.In(registries, fmt.Sprintf("There%02d", i)))
	}
	d, err := c.Check(t.Context(), p.ObjectID, rbac.ActionPull, reg)
	text := d.Explain()
	if err != nil || d.Allowed || len(d.Looked) != 21 || !strings.Contains(text, "AcrDelete at "+group.String()) || !strings.HasSuffix(text, "; and others, none of which covers this scope.") {
		t.Errorf("%d: %s, %v", len(d.Looked), text, err)
	}
}

package armapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/server/armapi"
	"github.com/acrux/acrux/internal/server/servertest"
)

// route is a request that changes nothing even if it is allowed: what it names is
// not there and its body is missing.
type route struct{ action, method, path string }

// routes are all that is mounted, and what stands beside it.
func routes(w *servertest.World) []route {
	var all []route
	for _, op := range w.Stack.ARM.Operations() {
		all = append(all, route{op.Action, op.Method, pathOf(w, op)})
	}
	at := w.Registry.String() + "/providers/Microsoft.Authorization/"
	one := at + "roleAssignments/aaaaaaaa-0000-4000-8000-000000000001"
	tags := w.Registry.String() + tagsOf
	all = append(all, route{"Microsoft.Resources/tags/read", http.MethodGet, tags}, route{"Microsoft.Resources/tags/write", http.MethodPut, tags},
		route{"Microsoft.Resources/tags/write", http.MethodPatch, tags}, route{"Microsoft.Resources/tags/delete", http.MethodDelete, tags},
		route{"Microsoft.Resources/subscriptions/tagNames/read", http.MethodGet, "/subscriptions/" + servertest.Subscription + "/tagNames"})
	const assignments = "Microsoft.Authorization/roleAssignments/"
	return append(all, route{"Microsoft.Authorization/roleDefinitions/read", http.MethodGet, at + "roleDefinitions"},
		route{assignments + "read", http.MethodGet, at + "roleAssignments"}, route{assignments + "read", http.MethodGet, one},
		route{assignments + "write", http.MethodPut, one}, route{assignments + "delete", http.MethodDelete, one})
}

func pathOf(w *servertest.World, op armapi.Operation) string {
	id := arm.ID{Subscription: w.Group.Subscription, Group: w.Group.Group}
	switch {
	case op.Kind.Key() == resource.Groups.Key() && op.List:
		return "/subscriptions/" + id.Subscription + "/resourceGroups"
	case op.Kind.Key() == resource.Groups.Key():
		return arm.GroupID(id.Subscription, "nobody").String()
	case op.List && len(op.Kind.Types) == 1:
		return id.String() + "/providers/" + op.Kind.String()
	case op.List:
		return parentOf(w, op).String() + "/" + op.Kind.Types[1]
	}
	if len(op.Kind.Types) == 1 {
		id = id.In(op.Kind, "nobody1")
	} else {
		id = parentOf(w, op).Child(op.Kind.Types[1], "nobody1")
	}
	if op.Name != "" {
		return id.String() + "/" + op.Name
	}
	return id.String()
}

// parentOf is what a type is below: the registry, or an identity that is not there.
func parentOf(w *servertest.World, op armapi.Operation) arm.ID {
	if op.Kind.Namespace == identity.UserAssigned.Namespace {
		return w.Group.In(identity.UserAssigned, "nobody1")
	}
	return w.Registry
}

// Every route asks for its action: who has a role at the subscription gets through
// where the role permits the action, and nowhere else.
func TestAuthorizationMatrix(t *testing.T) {
	w := servertest.New(t)
	roles := append([]rbac.Role{{Name: "(none)"}}, rbac.Roles()...)
	people := make([]servertest.Person, len(roles))
	for i, role := range roles {
		name := role.Name
		if i == 0 {
			name = ""
		}
		people[i] = w.Person("p"+fmt.Sprint(i), name, arm.SubscriptionID(servertest.Subscription))
	}
	var b strings.Builder
	for i, role := range roles {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat("| ", i), role.Name)
	}
	for _, r := range routes(w) {
		for i, role := range roles {
			a := w.ARM(people[i], r.method, r.path, "")
			denied := a.Status == http.StatusForbidden
			if denied == role.Permits(r.action) || a.Status >= 500 && a.Status != http.StatusNotImplemented {
				t.Errorf("%s: %s %s answers %d %s", role.Name, r.method, r.path, a.Status, a.Body)
			}
			if denied && a.At("error", "code") != "AuthorizationFailed" {
				t.Errorf("the denial is %s", a.Body)
			}
			b.WriteString(map[bool]string{true: ". ", false: "x "}[denied])
		}
		shown := strings.ReplaceAll(strings.ReplaceAll(r.path, servertest.Subscription, "S"), "Microsoft.", "M.")
		fmt.Fprintf(&b, " %-6s %s  %s\n", r.method, shown, r.action)
	}
	servertest.Golden(t, "authorization.golden", b.String())
}

package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm/problem"
)

const authorization = "/providers/Microsoft.Authorization"

// roleID finds a role definition by name or ID.
func (c *call) roleID(ctx context.Context, role string) (string, error) {
	if strings.HasPrefix(role, "/") {
		return role, nil
	}
	base := c.subscription().String() + authorization + "/roleDefinitions"
	if _, err := uuid.Parse(role); err == nil {
		return base + "/" + role, nil
	}
	all, err := c.listAll(ctx, base+"?$filter="+url.QueryEscape("roleName eq '"+role+"'"), rolesVersion)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", problem.New(problem.NotFound, "RoleDefinitionDoesNotExist", "the role '%s' does not exist", role).Hint("az role definition list --query [].roleName")
	}
	id, _ := all[0]["id"].(string) // every definition has one
	return id, nil
}

// principal finds who is meant: by principal ID, by client ID or by name.
func (c *call) principal(ctx context.Context, who string) (document, error) {
	if _, err := uuid.Parse(who); err == nil {
		found, err := c.graph(ctx, http.MethodPost, "/v1.0/directoryObjects/getByIds", document{"ids": []string{who}})
		if err != nil || len(found) > 0 {
			return first(found), err
		}
	}
	for _, filter := range []string{"servicePrincipalNames/any(c:c eq " + odata(who) + ")", "displayName eq " + odata(who)} {
		found, err := c.graph(ctx, http.MethodGet, "/v1.0/servicePrincipals?$filter="+url.QueryEscape(filter), nil)
		if err != nil || len(found) > 0 {
			return first(found), err
		}
	}
	if strings.Contains(who, "@") {
		found, err := c.graph(ctx, http.MethodGet, "/v1.0/users?$filter="+url.QueryEscape("userPrincipalName eq "+odata(who)), nil)
		if err != nil || len(found) > 0 {
			return first(found), err
		}
	}
	return nil, problem.New(problem.NotFound, "PrincipalNotFound", "cannot find the user, service principal or managed identity '%s' in the directory", who)
}

func first(list []document) document {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

func (c *call) graph(ctx context.Context, method, path string, in any) ([]document, error) {
	body, err := c.client.Graph(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	var page struct{ Value []document }
	err = json.Unmarshal(body, &page)
	return page.Value, err
}

func createAssignment(ctx context.Context, c *call) (any, error) {
	object := c.text("assignee-object-id")
	if object == "" {
		if c.text("assignee") == "" {
			return nil, usageError{problem.New(problem.Invalid, "MissingAssignee", "give --assignee or --assignee-object-id")}
		}
		p, err := c.principal(ctx, c.text("assignee"))
		if err != nil {
			return nil, err
		}
		object, _ = p["id"].(string) // every object has one
	}
	doc, err := c.assign(ctx, c.text("role"), c.text("scope"), object, c.text("assignee-principal-type"))
	if err == nil && c.text("output") == "table" {
		_, _ = c.named(ctx, []document{doc}) // the role is given, whatever can be said of it
	}
	return doc, err
}

// assign gives a role, by name or ID, to a principal.
func (c *call) assign(ctx context.Context, role, scope, object, kind string) (document, error) {
	role, err := c.roleID(ctx, role)
	if err != nil {
		return nil, err
	}
	properties := document{"roleDefinitionId": role, "principalId": object}
	if kind != "" {
		properties["principalType"] = kind
	}
	scope = strings.TrimSuffix(scope, "/")
	var out document
	_, err = c.client.Do(ctx, "PUT", scope+authorization+"/roleAssignments/"+uuid.NewString(), rolesVersion, document{"properties": properties}, &out)
	if problem.Is(err, problem.Conflict) {
		return c.existing(ctx, scope, role, object)
	}
	return flatten(out), err
}

// existing returns the assignment that was there already: asking twice is no error.
func (c *call) existing(ctx context.Context, scope, role, object string) (document, error) {
	all, err := c.listAll(ctx, scope+authorization+"/roleAssignments?$filter="+url.QueryEscape("principalId eq '"+object+"'"), rolesVersion)
	if err != nil {
		return nil, err
	}
	for _, doc := range flattenAll(all) {
		if sameRole(role, doc["roleDefinitionId"].(string)) && strings.EqualFold(doc["scope"].(string), scope) {
			return doc, nil
		}
	}
	return nil, problem.New(problem.Conflict, "RoleAssignmentExists", "the role assignment exists already and cannot be shown")
}

// sameRole compares IDs of roles, whole or their last words: the same role has an ID
// in each scope.
func sameRole(a, b string) bool {
	return strings.EqualFold(a[strings.LastIndex(a, "/")+1:], b[strings.LastIndex(b, "/")+1:])
}

// assignments lists those at a scope, for an assignee if one was given. As with the Azure
// CLI those from above count only with --include-inherited, those below only with --all.
func (c *call) assignments(ctx context.Context) ([]document, error) {
	scope := strings.TrimSuffix(c.text("scope"), "/")
	filter := "atScope()"
	if scope == "" {
		scope = c.subscription().String()
	}
	var principal string
	if who := c.text("assignee"); who != "" {
		p, err := c.principal(ctx, who)
		if err != nil {
			return nil, err
		}
		principal, _ = p["id"].(string) // every object has one
		filter = "principalId eq '" + principal + "'"
	}
	path := scope + authorization + "/roleAssignments"
	if !c.toggle("all") || principal != "" {
		path += "?$filter=" + url.QueryEscape(filter)
	}
	found, err := c.listAll(ctx, path, rolesVersion)
	if err != nil {
		return nil, err
	}
	all := flattenAll(found)
	if !c.toggle("all") && !c.toggle("include-inherited") {
		all = slices.DeleteFunc(all, func(a document) bool {
			at, _ := a["scope"].(string) // every assignment has one
			return !strings.EqualFold(strings.TrimSuffix(at, "/"), scope)
		})
	}
	all, err = c.named(ctx, all)
	if role := c.text("role"); role != "" {
		all = slices.DeleteFunc(all, func(a document) bool {
			name, _ := a["roleDefinitionName"].(string)
			id, _ := a["roleDefinitionId"].(string)
			return !strings.EqualFold(name, role) && !sameRole(role, id)
		})
	}
	return all, err
}

// named adds the names of roles and principals to assignments. A table, which nothing reads but
// people, has the names that principals are shown by, and not those they sign in with.
func (c *call) named(ctx context.Context, all []document) ([]document, error) {
	definitions, err := c.listAll(ctx, c.subscription().String()+authorization+"/roleDefinitions", rolesVersion)
	if err != nil {
		return nil, err
	}
	roles := map[any]any{}
	for _, d := range flattenAll(definitions) {
		roles[d["name"]] = d["roleName"]
	}
	names := c.principalNames(ctx, all)
	for _, a := range all {
		role, _ := a["roleDefinitionId"].(string) // every assignment has one
		a["roleDefinitionName"] = roles[role[strings.LastIndex(role, "/")+1:]]
		if name := names[a["principalId"]]; name != nil {
			a["principalName"] = name
		}
	}
	return all, nil
}

// mostIDs is how many objects the directory finds at once.
const mostIDs = 1000

// principalNames are the names of those who have assignments, by their IDs. Who may not read the
// directory sees the IDs alone.
func (c *call) principalNames(ctx context.Context, all []document) map[any]any {
	names := map[any]any{}
	var ids []any
	for _, a := range all {
		if id := a["principalId"]; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for some := range slices.Chunk(ids, mostIDs) {
		found, err := c.graph(ctx, http.MethodPost, "/v1.0/directoryObjects/getByIds", document{"ids": some})
		if err != nil {
			return names
		}
		for _, p := range found {
			names[p["id"]] = p["appId"]
			if p["userPrincipalName"] != nil {
				names[p["id"]] = p["userPrincipalName"]
			} else if c.text("output") == "table" && c.text("query") == "" {
				names[p["id"]] = p["displayName"]
			}
		}
	}
	return names
}

func listAssignments(ctx context.Context, c *call) (any, error) {
	all, err := c.assignments(ctx)
	return all, err
}

func deleteAssignments(ctx context.Context, c *call) (any, error) {
	ids := c.list("ids")
	if len(ids) == 0 {
		if c.text("assignee") == "" && c.text("scope") == "" {
			return nil, usageError{problem.New(problem.Invalid, "MissingSelection", "give --ids, or --assignee and --scope")}
		}
		all, err := c.assignments(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			id, _ := a["id"].(string) // every assignment has one
			ids = append(ids, id)
		}
		if len(ids) == 0 {
			return nil, problem.New(problem.NotFound, "RoleAssignmentNotFound", "no role assignment matches")
		}
	}
	for _, id := range ids {
		if _, err := c.client.Do(ctx, "DELETE", id, rolesVersion, nil, nil); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func listRoles(ctx context.Context, c *call) (any, error) {
	path := c.subscription().String() + authorization + "/roleDefinitions"
	if name := c.text("name"); name != "" {
		path += "?$filter=" + url.QueryEscape("roleName eq '"+name+"'")
	}
	all, err := c.listAll(ctx, path, rolesVersion)
	return flattenAll(all), err
}

package armapi

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// authorizationPath splits {scope}/providers/Microsoft.Authorization/{rest} at the
// last place where it can be split: a scope may be anything.
func authorizationPath(segments []string) (scope arm.ID, rest []string, ok bool) {
	for i := len(segments) - 2; i >= 0; i-- {
		if strings.EqualFold(segments[i], "providers") && strings.EqualFold(segments[i+1], "Microsoft.Authorization") {
			scope, err := arm.ParseID(strings.Join(segments[:i], "/"))
			return scope, segments[i+2:], err == nil && i+2 < len(segments)
		}
	}
	return arm.ID{}, nil, false
}

// authorization serves role definitions and assignments at a scope.
func (s *Server) authorization(ctx context.Context, c *Call, scope arm.ID, rest []string) (answer, error) {
	if err := arm.CheckVersion(c.Query("api-version"), "2015-07-01"); err != nil {
		return answer{}, err
	}
	if !scope.IsRoot() && !strings.EqualFold(scope.Subscription, s.Subscription) {
		return answer{}, noSubscription(scope.Subscription)
	}
	what, method := strings.ToLower(rest[0]), c.Request.Method
	switch {
	case what == "roledefinitions" && method == http.MethodGet:
		return s.roleDefinitions(ctx, c, scope, rest[1:])
	case what == "roleassignments" && method == http.MethodGet && len(rest) == 1:
		return s.listAssignments(ctx, c, scope)
	case what == "roleassignments" && len(rest) == 2:
		return s.assignment(ctx, c, scope, rest[1])
	case (what == "permissions" || what == "classicadministrators") && method == http.MethodGet:
		return page(), nil
	}
	return answer{}, problem.New(problem.Unsupported, "NotImplemented", "'Microsoft.Authorization/%s' is not available in this version of Acrux.", rest[0])
}

// definitionID is the ID of a role definition as assignments name it: clients
// compare the whole text.
func (s *Server) definitionID(role string) string {
	return "/subscriptions/" + s.Subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + role
}

var nameFilter = regexp.MustCompile(`(?i)roleName\s+eq\s+'([^']*)'`)

func (s *Server) roleDefinitions(ctx context.Context, c *Call, scope arm.ID, rest []string) (answer, error) {
	if err := s.allow(ctx, c, "Microsoft.Authorization/roleDefinitions/read", scope); err != nil {
		return answer{}, err
	}
	if len(rest) == 1 {
		role, ok := rbac.RoleByID(rest[0])
		if !ok {
			return answer{}, problem.New(problem.NotFound, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", rest[0])
		}
		return answer{status: http.StatusOK, body: s.roleBody(role)}, nil
	}
	filter := nameFilter.FindStringSubmatch(c.Query("$filter"))
	var values []any
	for _, role := range rbac.Roles() {
		if filter == nil || strings.EqualFold(role.Name, filter[1]) {
			values = append(values, s.roleBody(role))
		}
	}
	return page(values...), nil
}

func (s *Server) roleBody(role rbac.Role) map[string]any {
	return map[string]any{"id": s.definitionID(role.ID), "name": role.ID, "type": "Microsoft.Authorization/roleDefinitions", "properties": map[string]any{
		"roleName": role.Name, "type": "BuiltInRole", "description": role.Description, "assignableScopes": []string{"/"},
		"permissions": []any{map[string]any{"actions": role.Actions, "notActions": orEmpty(role.NotActions), "dataActions": []string{}, "notDataActions": []string{}}},
		"createdOn":   "2026-01-01T00:00:00.0000000Z", "updatedOn": "2026-01-01T00:00:00.0000000Z", "createdBy": nil, "updatedBy": nil}}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (s *Server) assignmentBody(a rbac.Assignment) map[string]any {
	return map[string]any{"id": assignmentID(a), "name": a.Name, "type": "Microsoft.Authorization/roleAssignments", "properties": map[string]any{
		"roleDefinitionId": s.definitionID(a.RoleID), "principalId": a.PrincipalID, "principalType": a.PrincipalType, "scope": a.Scope.String(),
		"condition": nil, "conditionVersion": nil, "createdOn": arm.Time(a.Created), "updatedOn": arm.Time(a.Created),
		"createdBy": a.CreatedBy, "updatedBy": a.CreatedBy, "delegatedManagedIdentityResourceId": nil, "description": nullable(a.Description)}}
}

func assignmentID(a rbac.Assignment) string {
	return strings.TrimSuffix(a.Scope.String(), "/") + "/providers/Microsoft.Authorization/roleAssignments/" + a.Name
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

var principalFilter = regexp.MustCompile(`(?i)(?:principalId\s+eq\s+|assignedTo\()'([^']*)'`)

// listAssignments answers with the assignments that matter at a scope: those at it,
// above it, and, unless the filter says atScope(), below it.
func (s *Server) listAssignments(ctx context.Context, c *Call, scope arm.ID) (answer, error) {
	if err := s.allow(ctx, c, "Microsoft.Authorization/roleAssignments/read", scope); err != nil {
		return answer{}, err
	}
	p, err := c.paging()
	if err != nil {
		return answer{}, err
	}
	filter := c.Query("$filter")
	q := rbac.Query{At: scope.Scopes(), Anybody: true, N: p.length + 1}
	q.After.Scope, q.After.Name, _ = strings.Cut(p.after, placeSeparator)
	if m := principalFilter.FindStringSubmatch(filter); m != nil {
		q.Principal, q.Anybody = identity.ObjectID(m[1]), false
	}
	if !strings.Contains(strings.ToLower(filter), "atscope()") {
		q.Below = []arm.ID{scope}
	}
	all, err := s.Checker.Store.Assignments(ctx, q)
	if err != nil {
		return answer{}, err
	}
	found := cut(all, p.length, func(a rbac.Assignment) string { return a.Place().Scope + placeSeparator + a.Place().Name })
	for i := range found.values {
		found.values[i] = s.assignmentBody(all[i])
	}
	return c.page(p, found), nil
}

func (s *Server) assignment(ctx context.Context, c *Call, scope arm.ID, name string) (answer, error) {
	verb, ok := verbs[c.Request.Method]
	if !ok || c.Request.Method == http.MethodPatch {
		return answer{}, problem.New(problem.NotAllowed, "MethodNotAllowed", "The method %s is not allowed on role assignments.", c.Request.Method)
	}
	if err := s.allow(ctx, c, "Microsoft.Authorization/roleAssignments/"+verb, scope); err != nil {
		return answer{}, err
	}
	switch c.Request.Method {
	case http.MethodPut:
		return s.putAssignment(ctx, c, scope, name)
	case http.MethodDelete:
		return s.deleteAssignment(ctx, scope, name)
	}
	a, err := s.Checker.Store.Assignment(ctx, scope, name)
	if errors.Is(err, rbac.ErrNotFound) {
		return answer{}, problem.New(problem.NotFound, "RoleAssignmentNotFound", "The role assignment '%s' is not found.", name)
	}
	return answer{status: http.StatusOK, body: s.assignmentBody(a)}, err
}

func (s *Server) deleteAssignment(ctx context.Context, scope arm.ID, name string) (answer, error) {
	var a rbac.Assignment
	err := s.Documents.InTx(ctx, func(ctx context.Context) (err error) {
		if a, err = s.Checker.Store.Assignment(ctx, scope, name); err != nil {
			return err
		}
		return s.Checker.Store.DeleteAssignment(ctx, scope, name)
	})
	if errors.Is(err, rbac.ErrNotFound) {
		return answer{status: http.StatusNoContent}, nil
	}
	return answer{status: http.StatusOK, body: s.assignmentBody(a)}, err
}

var guidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (s *Server) putAssignment(ctx context.Context, c *Call, scope arm.ID, name string) (answer, error) {
	a, err := s.readAssignment(ctx, c, scope, name)
	if err != nil {
		return answer{}, err
	}
	err = s.Documents.InTx(ctx, func(ctx context.Context) error {
		if err := s.scopeExists(ctx, scope); err != nil {
			return err
		}
		if err := s.Checker.Store.PutAssignment(ctx, a); err != nil {
			return err
		}
		a, err = s.Checker.Store.Assignment(ctx, scope, a.Name)
		return err
	})
	if errors.Is(err, rbac.ErrDuplicate) {
		err = problem.New(problem.Conflict, "RoleAssignmentExists", "The role assignment already exists.").Because(err)
	}
	return answer{status: http.StatusCreated, body: s.assignmentBody(a)}, err
}

// assignmentEcho are properties of assignments that only the server sets.
type assignmentEcho struct {
	Scope     any `json:"scope"`
	CreatedOn any `json:"createdOn"`
	UpdatedOn any `json:"updatedOn"`
	CreatedBy any `json:"createdBy"`
	UpdatedBy any `json:"updatedBy"`
}

func (s *Server) readAssignment(ctx context.Context, c *Call, scope arm.ID, name string) (a rbac.Assignment, err error) {
	var body struct {
		echo
		Properties struct {
			RoleDefinitionID string `json:"roleDefinitionId"`
			PrincipalID      string `json:"principalId"`
			PrincipalType    string `json:"principalType"`
			Condition        string `json:"condition"`
			ConditionVersion string `json:"conditionVersion"`
			Description      string `json:"description"`
			assignmentEcho
		} `json:"properties"`
	}
	if err := c.Decode(&body); err != nil {
		return a, err
	}
	p := body.Properties
	role, known := rbac.RoleByID(p.RoleDefinitionID[strings.LastIndex(p.RoleDefinitionID, "/")+1:])
	switch {
	case !guidPattern.MatchString(name):
		return a, problem.New(problem.Invalid, "InvalidRoleAssignmentId", "The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", name)
	case !known:
		return a, problem.New(problem.Invalid, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", p.RoleDefinitionID)
	case p.Condition != "":
		return a, problem.New(problem.Unsupported, "NotImplemented", "Conditions of role assignments are not available in this version of Acrux.").On("properties.condition")
	}
	principal, err := s.Directory.Principal(ctx, identity.ObjectID(strings.ToLower(p.PrincipalID)))
	if errors.Is(err, identity.ErrNotFound) {
		return a, s.noPrincipal(ctx, p.PrincipalID)
	}
	typ := p.PrincipalType
	if typ == "" {
		typ = principal.Type()
	}
	return rbac.Assignment{Name: strings.ToLower(name), Scope: scope, PrincipalID: principal.ObjectID, PrincipalType: typ, RoleID: role.ID,
		Description: p.Description, Created: c.Now, CreatedBy: string(c.Caller.ObjectID)}, err
}

// noPrincipal says that an ID is nobody's, and whose it is if it is a client ID.
func (s *Server) noPrincipal(ctx context.Context, id string) error {
	p := problem.New(problem.Invalid, "PrincipalNotFound", "Principal %s does not exist in the directory %s.", id, s.Issuer.TenantID)
	if owner, err := s.Directory.PrincipalByClientID(ctx, identity.ClientID(id)); err == nil {
		p.Hint("%s is the client ID of '%s'; its principal ID is %s", id, owner.DisplayName, owner.ObjectID)
	}
	return p
}

// scopeExists refuses assignments at what is not there: they would come to life with
// whoever makes it later.
func (s *Server) scopeExists(ctx context.Context, scope arm.ID) error {
	if scope.Group == "" {
		return nil
	}
	_, err := s.Documents.Get(ctx, scope)
	if err == nil {
		return nil
	}
	k, ok := s.kinds[scope.Kind().Key()]
	if !ok {
		k = s.kinds[groupKind.Key()]
	}
	_, err = k.get(ctx, &Call{ID: scope, Header: http.Header{}})
	return err
}

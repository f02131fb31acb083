package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// What a plan says about rights and about who asks.
const (
	rightsPresent = "present"
	rightsMissing = "missing"
	rightsUnknown = "not known"   // the server does not say
	unchecked     = "not checked" // no server is asked
	nobody        = "nobody"
)

// askedServer is the server that a plan asks, or none.
type askedServer struct {
	loginServer string
	call        *call // nil without a server
	registry    arm.ID
	task        *plannedTask // nil without --as-task
}

// plannedTask is what a plan has to know of a task.
type plannedTask struct {
	id       arm.ID
	Identity *struct {
		PrincipalID string
		Users       map[string]struct{ PrincipalID, ClientID string } `json:"userAssignedIdentities"`
	}
	Properties struct {
		Credentials struct {
			SourceRegistry *struct{ LoginMode string }
			Custom         map[string]struct{ Identity string } `json:"customRegistries"`
		}
	}
}

// server finds the registry on the server where somebody is signed in, if one is named
// and there is a server.
func (p *planning) server(cmd *cobra.Command, env *environment) (*askedServer, error) {
	if !cmd.Flags().Changed("registry") {
		if p.task != "" {
			return nil, invalidArgument("--as-task goes with --registry")
		}
		return &askedServer{loginServer: standIn}, nil
	}
	none := &askedServer{loginServer: loginServerOf(p.flags.registry)}
	found, err := p.ask(cmd, env)
	switch {
	case err == nil:
		return found, nil
	case p.task != "" || !unreachable(err):
		return nil, err
	}
	fmt.Fprintf(env.stderr, "note: no server is asked: %v\n", err)
	return none, nil
}

// unreachable reports whether an error means that there is no server to ask, or nobody
// who may.
func unreachable(err error) bool {
	var p *problem.Error
	return !errors.As(err, &p) || p.Kind == problem.Unauthenticated || p.Kind == problem.Unavailable
}

func (p *planning) ask(cmd *cobra.Command, env *environment) (*askedServer, error) {
	client, err := env.newClient()
	if err != nil {
		return nil, err
	}
	a := &askedServer{call: &call{environment: env, client: client, cmd: cmd}}
	name, _, _ := strings.Cut(p.flags.registry, ".")
	doc, err := a.call.getRegistry(cmd.Context(), name)
	if err != nil {
		return nil, err
	}
	a.loginServer, _ = doc["loginServer"].(string) // every registry has one
	id, _ := doc["id"].(string)                    // every resource has one
	if a.registry, err = arm.ParseID(id); err != nil || p.task == "" {
		return a, err
	}
	a.task = &plannedTask{id: a.registry.Child("tasks", p.task)}
	_, err = client.Do(cmd.Context(), "GET", a.task.id.String(), tasksVersion, nil, a.task)
	return a, err
}

// access says as whom each registry would be asked, and what that one may not do there.
func (a *askedServer) access(ctx context.Context, shown *shownPlan) error {
	for i := range shown.Registries {
		if err := a.registryAccess(ctx, &shown.Registries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *askedServer) registryAccess(ctx context.Context, r *shownRegistry) error {
	if a.call == nil {
		r.Rights = unchecked
	}
	if a.same(r.Server, a.loginServer) {
		a.ownAccess(r)
		return nil
	}
	if a.task != nil {
		for server, credential := range a.task.Properties.Credentials.Custom {
			switch {
			case !a.same(server, r.Server):
			case credential.Identity == "":
				r.As, r.Note = "a user name of the task's credential", "what the user name may do is not asked"
				return nil
			default:
				return a.identityAccess(ctx, r, credential.Identity)
			}
		}
	}
	return a.anonymousAccess(ctx, r)
}

// ownAccess is that to the registry of the run, for which the server gives a credential.
func (a *askedServer) ownAccess(r *shownRegistry) {
	if a.task != nil && a.task.Properties.Credentials.SourceRegistry != nil && strings.EqualFold(a.task.Properties.Credentials.SourceRegistry.LoginMode, "None") {
		r.Rights, r.Missing = rightsMissing, []string{"a credential: the task does not log in to its own registry"}
		r.Fixes = []string{fmt.Sprintf("az acr task update --name %s --registry %s --auth-mode Default", a.task.id.Name(), a.registry.Name())}
		return
	}
	r.As = "the run"
	if a.call != nil {
		r.Rights = rightsPresent
	}
}

// anonymousAccess is that to a registry for which there is no credential.
func (a *askedServer) anonymousAccess(ctx context.Context, r *shownRegistry) error {
	doc, err := a.find(ctx, r.Server)
	switch {
	case err != nil:
		return err
	case doc == nil:
		r.Note = "without a credential only what is public can be pulled"
		if r.Push {
			r.Note += ", and nothing pushed"
		}
		return nil
	}
	if open, _ := doc["anonymousPullEnabled"].(bool); open && !r.Push {
		r.Rights = rightsPresent
		return nil
	}
	r.Rights, r.Missing = rightsMissing, []string{"a credential for " + r.Server}
	if a.task == nil {
		r.Note = "a quick run has a credential for its own registry only; make a task of it"
		return nil
	}
	return a.missingCredential(ctx, r, doc)
}

// missingCredential says how the task comes to one, with all that goes before it.
func (a *askedServer) missingCredential(ctx context.Context, r *shownRegistry, doc document) error {
	g := a.grant(r, a.anyIdentity())
	g.Principal = a.principalOf(g.Identity)
	if g.Principal == "" {
		r.Fixes = append(r.Fixes, g.AssignIdentity())
	}
	r.Fixes = append(r.Fixes, g.AddCredential())
	if g.Principal == "" {
		r.Fixes = append(r.Fixes, g.AssignRole())
		return nil
	}
	rights := shownRegistry{Pull: r.Pull, Push: r.Push}
	if err := a.rightsAt(ctx, &rights, doc, g.Principal); err != nil {
		return err
	}
	r.Missing, r.Fixes = append(r.Missing, rights.Missing...), append(r.Fixes, rights.Fixes...)
	return nil
}

// grant is what the task needs at a registry of this server, with an identity.
func (a *askedServer) grant(r *shownRegistry, identity string) lease.Grant {
	target, _, _ := strings.Cut(r.Server, ".")
	return lease.Grant{Task: a.task.id.Name(), Registry: a.registry.Name(), LoginServer: r.Server, Target: target,
		Identity: identity, Push: r.Push}
}

// anyIdentity is an identity of the task as --use-identity takes it.
func (a *askedServer) anyIdentity() string {
	if a.task.Identity != nil && a.task.Identity.PrincipalID == "" {
		for _, user := range a.task.Identity.Users {
			return user.ClientID
		}
	}
	return "[system]"
}

// identityAccess is that of one of the task's identities.
func (a *askedServer) identityAccess(ctx context.Context, r *shownRegistry, name string) error {
	principal := a.principalOf(name)
	r.As = "the identity " + name
	doc, err := a.find(ctx, r.Server)
	if err != nil {
		return err
	}
	if principal == "" {
		a.missingIdentity(r, name, doc != nil)
		return nil
	}
	r.As += " (principalId " + principal + ")"
	if doc == nil {
		r.Note = "the registry is not one of this server's, or not to be seen"
		return nil
	}
	return a.rightsAt(ctx, r, doc, principal)
}

// missingIdentity says how the task comes to an identity, and that one to its right at a registry
// if that is one of the server's.
func (a *askedServer) missingIdentity(r *shownRegistry, name string, here bool) {
	r.Rights, r.Missing = rightsMissing, []string{"the identity " + name + ", which the task does not have"}
	if strings.EqualFold(strings.Trim(name, "[]"), lease.SystemIdentity) {
		name = lease.System
	}
	g := a.grant(r, name)
	if !here {
		g.Target = ""
	}
	for _, fix := range []string{g.AssignIdentity(), g.AssignRole()} {
		if fix != "" {
			r.Fixes = append(r.Fixes, fix)
		}
	}
}

// rightsAt compares what is needed with what a principal may do at a registry of the server.
func (a *askedServer) rightsAt(ctx context.Context, r *shownRegistry, doc document, principal string) error {
	text, _ := doc["id"].(string) // every resource has one
	scope, err := arm.ParseID(text)
	if err != nil {
		return err
	}
	roles, err := a.roles(ctx, scope, principal)
	if err != nil {
		r.Note = "the rights cannot be seen: " + problem.From(err).Text()
		return nil
	}
	r.judge(roles, scope, principal)
	return nil
}

// principalOf is who a credential's identity is, or empty if the task has no such.
func (a *askedServer) principalOf(name string) string {
	if a.task.Identity == nil {
		return ""
	}
	if strings.EqualFold(strings.Trim(name, "[]"), "system") {
		return a.task.Identity.PrincipalID
	}
	for _, user := range a.task.Identity.Users {
		if strings.EqualFold(user.ClientID, name) {
			return user.PrincipalID
		}
	}
	return ""
}

// roles are those that a principal has at a registry, or above it.
func (a *askedServer) roles(ctx context.Context, registry arm.ID, principal string) ([]rbac.Role, error) {
	path := registry.String() + authorization + "/roleAssignments?$filter=" + url.QueryEscape("principalId eq '"+principal+"'")
	all, err := a.call.listAll(ctx, path, rolesVersion)
	if err != nil {
		return nil, err
	}
	var roles []rbac.Role
	for _, assignment := range flattenAll(all) {
		text, _ := assignment["scope"].(string)
		definition, _ := assignment["roleDefinitionId"].(string)
		role, known := rbac.RoleByID(definition[strings.LastIndex(definition, "/")+1:])
		if scope, err := arm.ParseID(text); err == nil && known && scope.Contains(registry) {
			roles = append(roles, role)
		}
	}
	return roles, nil
}

// judge compares what is needed with roles, and says what would give the rest as the
// server does in its refusals.
func (r *shownRegistry) judge(roles []rbac.Role, scope arm.ID, principal string) {
	r.Rights = rightsPresent
	for _, need := range []struct {
		needed bool
		action string
	}{{r.Pull, rbac.ActionPull}, {r.Push, rbac.ActionPush}} {
		permitted := !need.needed
		for _, role := range roles {
			permitted = permitted || role.Permits(need.action)
		}
		if !permitted {
			r.Rights = rightsMissing
			r.Missing = append(r.Missing, need.action)
			// The role for a push is one for a pull as well.
			r.Fixes = []string{rbac.Decision{PrincipalID: identity.ObjectID(principal), Action: need.action, Scope: scope}.Fix()}
		}
	}
}

var registryName = regexp.MustCompile(`^[a-zA-Z0-9]{5,50}$`)

// find is the registry of the server that has a login server, or nil.
func (a *askedServer) find(ctx context.Context, server string) (document, error) {
	name, _, _ := strings.Cut(server, ".")
	// The name comes from the task file, and becomes part of a request.
	if a.call == nil || !registryName.MatchString(name) || !a.same(server, a.call.client.LoginServer(name)) {
		return nil, nil
	}
	doc, err := a.call.getRegistry(ctx, name)
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Denied) {
		return nil, nil
	}
	return doc, err
}

// same reports whether two login servers are one registry: Azure's name stands for ours.
func (a *askedServer) same(one, other string) bool {
	if strings.EqualFold(one, other) {
		return true
	}
	if a.call == nil {
		return false
	}
	canonical := func(server string) string {
		name, rest, _ := strings.Cut(strings.ToLower(server), ".")
		ours := a.call.client.LoginServer(name)
		if host, _, _ := strings.Cut(ours, ":"); rest == "azurecr.io" || strings.EqualFold(server, host) {
			return ours
		}
		return strings.ToLower(server)
	}
	return canonical(one) == canonical(other)
}

package agent

import (
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// What a run lacks at another registry is told all at once and in the order in which it is given.

// grant is what the task needs at a registry, with one of its identities or, if it has none, with
// its system-assigned one.
func (r *run) grant(host string, push bool) lease.Grant {
	g := lease.Grant{Task: r.job.TaskName, Registry: r.job.RegistryName, LoginServer: host, Target: r.nameOf(host),
		Identity: lease.System, Push: push}
	for _, identity := range r.job.Identities {
		g.Identity, g.Principal = useOf(identity), identity.PrincipalID
	}
	return g
}

// useOf is an identity as --use-identity takes it.
func useOf(identity lease.Identity) string {
	if identity.System {
		return lease.System
	}
	return identity.ClientID
}

// nameOf is the name of the registry of this installation that a host is; empty for others.
func (r *run) nameOf(host string) string {
	server, public := r.agent.PublicName(host)
	if !public {
		if !r.agent.Dialer.IsOwn(host) {
			return ""
		}
		server = host
	}
	name, _, _ := strings.Cut(server, ".")
	return name
}

// hint says what to do about a refusal of a registry for which there is no login.
func (r *run) hint(host string, push bool) string {
	if r.credentials.has(host) {
		return ""
	}
	host = egress.CanonicalHost(host)
	text := fmt.Sprintf("hint: this run has no login for %s", host)
	switch {
	case r.job.TaskName == "" && r.job.RegistryID == "":
		return text
	case r.job.TaskName == "":
		return text + "; a quick run has one for its own registry only: make a task of it (az acr task create), which can have others"
	case host == egress.CanonicalHost(r.job.LoginServer):
		return fmt.Sprintf("%s, its own: az acr task update --name %s --registry %s --auth-mode Default", text, r.job.TaskName, r.job.RegistryName)
	case !r.registries.Exchanges(host):
		return fmt.Sprintf("%s; to add one: az acr task credential add --name %s --registry %s --login-server %s --username USER --password PASSWORD",
			text, r.job.TaskName, r.job.RegistryName, host)
	}
	g := r.grant(host, push)
	assign := ""
	if len(r.job.Identities) == 0 {
		assign = g.AssignIdentity()
	}
	return text + "; to add one:" + lease.Hints(assign, g.AddCredential(), g.AssignRole())
}

// unknownIdentity explains a login for an identity that the task does not have.
func (r *run) unknownIdentity(login lease.Login) string {
	g := r.grant(login.Registry, false)
	update := func(use string) string {
		return fmt.Sprintf("az acr task credential update --name %s --registry %s --login-server %s --use-identity %s",
			g.Task, g.Registry, login.Registry, use)
	}
	for _, identity := range r.job.Identities {
		if use := useOf(identity); strings.EqualFold(identity.PrincipalID, login.Identity) {
			return fmt.Sprintf("the credential for %s names %s, which is the principal ID of the identity %s; --use-identity takes its client ID, %s\nhint: %s",
				login.Registry, login.Identity, identity.Name, use, update(use))
		}
	}
	g.Identity, g.Principal = login.Identity, ""
	if strings.EqualFold(strings.Trim(login.Identity, "[]"), lease.SystemIdentity) {
		g.Identity = lease.System
	}
	text := fmt.Sprintf("the credential for %s names the identity %s, which is not assigned to the task", login.Registry, login.Identity)
	text += lease.Hints(g.AssignIdentity(), g.AssignRole())
	for _, identity := range r.job.Identities {
		text += fmt.Sprintf("\nhint: or, with the identity %s that the task has: %s", identity.Name, update(useOf(identity)))
	}
	return text
}

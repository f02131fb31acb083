package registryapi

import (
	"errors"
	"slices"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
)

// Who is no principal: the admin user of a registry, and nobody (repository-scoped tokens
// are in scoped.go). What they may do stands in the registry's document, which is read for each request; so switching them
// off, or renewing a password, counts from the next request on, whatever tokens there
// are.

// loginAdmin signs in as the admin user. Who does not know its password does not learn
// whether it is enabled: that is told by what the hint names.
func (c *call) loginAdmin(password string) (token.Subject, error) {
	mark, err := c.server.Registries.SignIn(c.Context(), c.resource, password)
	if err == nil && mark == "" {
		err = wrongPassword().Hint("az acr credential show --name %s", c.resource.ID.Name())
	}
	return token.Subject{Admin: mark}, err
}

func (c *call) adminDisabled() error {
	return problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the admin user of registry '%s' is disabled", c.resource.ID.Name()).
		Hint("az acr update --name %s --admin-enabled true", c.resource.ID.Name())
}

// checkAdmin: the admin user may do everything in the registry, as long as it is
// enabled and the password counts that it signed in with.
func (c *call) checkAdmin(mark string) error {
	if !c.resource.Properties.AdminUserEnabled {
		return c.adminDisabled()
	}
	holds, err := c.server.Registries.AdminHolds(c.Context(), c.resource, mark)
	if err != nil || holds {
		return err
	}
	return problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the password of the admin user was renewed since the token was issued").
		Hint("az acr credential show --name %s", c.resource.ID.Name())
}

// nobodyMay are the actions of nobody, where anonymous pull is enabled: pulling, and seeing
// what a repository has.
var nobodyMay = map[oci.Action]bool{oci.Pull: true, oci.MetadataRead: true}

// checkAnonymous: nobody may pull where that is enabled, and nothing else.
func (c *call) checkAnonymous(action oci.Action) error {
	if c.resource.Properties.AnonymousPullEnabled && nobodyMay[action] {
		return nil
	}
	return problem.New(problem.Denied, "DENIED", "without signing in one may at most pull, where anonymous pull is enabled")
}

// openToNobody reports whether a request that takes this needs no token.
func (c *call) openToNobody(need oci.Access) bool {
	closed := slices.ContainsFunc(need.Actions, func(action oci.Action) bool { return !nobodyMay[action] })
	return c.resource.Properties.AnonymousPullEnabled && len(need.Actions) > 0 && !closed
}

// stillThere is for requests that take no right: the subject of the token must still
// be somebody.
func (c *call) stillThere() error {
	if c.subject.Anonymous() && (c.req.Kind != base || !c.resource.Properties.AnonymousPullEnabled) {
		return c.challenge("invalid_token", "nobody has signed in")
	}
	return c.stillSomebody(c.subject)
}

// stillSomebody returns a problem if what a credential was made for is over: the run, the
// principal, the password.
func (c *call) stillSomebody(subject token.Subject) error {
	switch {
	case subject.Run != "":
		return c.stillActive(subject.Run)
	case subject.Admin != "":
		return c.checkAdmin(subject.Admin)
	case subject.Token != "":
		_, err := c.scoped(subject)
		return err
	case subject.Anonymous():
		return nil
	}
	p, err := c.server.Directory.Principal(c.Context(), subject.Principal)
	if errors.Is(err, identity.ErrNotFound) || err == nil && p.Disabled {
		return problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the principal of the token was deleted or disabled")
	}
	return err
}

// stillActive returns a problem unless a run is being executed, in this registry.
func (c *call) stillActive(run string) error {
	active, err := c.server.Runs.Active(c.Context(), run)
	if err != nil {
		return err
	}
	if id, err := arm.ParseID(run); err != nil || !active || !id.Parent().Equal(c.resource.ID) {
		return problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the run of the token is over")
	}
	return nil
}

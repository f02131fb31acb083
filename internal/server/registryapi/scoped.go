package registryapi

import (
	"context"
	"errors"
	"strings"

	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/repotoken"
)

// Repository-scoped tokens are users of one registry. What they may do is their scope
// map, which is read for each request, as are their status and the expiry of the password
// that they signed in with.

// scopedVerbs say which action of a scope map each access takes. Unlike a role, pulling
// does not include metadata: scope maps have an action for it.
var scopedVerbs = map[oci.Action]repotoken.Verb{
	oci.Pull:          repotoken.ContentRead,
	oci.Push:          repotoken.ContentWrite,
	oci.Delete:        repotoken.ContentDelete,
	oci.MetadataRead:  repotoken.MetadataRead,
	oci.MetadataWrite: repotoken.MetadataWrite,
}

// loginToken signs in as a repository-scoped token. Who does not know a password does not
// learn whether there is such a token.
func (c *call) loginToken(name, password string) (token.Subject, error) {
	grant, err := c.scopeOf(name)
	if errors.Is(err, resource.ErrNotFound) {
		return token.Subject{}, wrongPassword()
	}
	if err != nil {
		return token.Subject{}, err
	}
	mark, verdict := grant.SignIn(password, c.now)
	if verdict == repotoken.Wrong {
		return token.Subject{}, wrongPassword()
	}
	subject := token.Subject{Token: grant.Token.ID.Name(), Mark: mark}
	return subject, c.worth(grant, mark)
}

// scopeOf reads what a token may do once for the request, whatever it asks for.
func (c *call) scopeOf(name string) (repotoken.Grant, error) {
	if c.scope != nil && strings.EqualFold(c.scope.Token.ID.Name(), name) {
		return *c.scope, nil
	}
	grant, err := c.server.Tokens.Grant(c.Context(), c.resource.ID, name)
	if err == nil {
		c.scope = &grant
	}
	return grant, err
}

// scoped returns what a token may do now, or why it is nobody any more.
func (c *call) scoped(subject token.Subject) (repotoken.Grant, error) {
	grant, err := c.scopeOf(subject.Token)
	if errors.Is(err, resource.ErrNotFound) {
		return grant, problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the token '%s' of registry '%s' was deleted", subject.Token, c.resource.ID.Name())
	}
	if err != nil {
		return grant, err
	}
	return grant, c.worth(grant, subject.Mark)
}

// worth returns a problem unless the password of the mark counts now.
func (c *call) worth(grant repotoken.Grant, mark string) error {
	verdict, password := grant.Holds(mark, c.now)
	reg, name := c.resource.ID.Name(), grant.Token.ID.Name()
	refuse := func(format string, args ...any) *problem.Error {
		return problem.New(problem.Unauthenticated, "UNAUTHORIZED", format, args...)
	}
	switch verdict {
	case repotoken.Counts:
		return nil
	case repotoken.Disabled:
		return refuse("the token '%s' of registry '%s' is disabled", name, reg).
			Hint("az acr token update --registry %s --name %s --status enabled", reg, name)
	case repotoken.Expired:
		return refuse("%s of the token '%s' of registry '%s' has expired", password, name, reg).
			Hint("az acr token credential generate --registry %s --name %s --%s", reg, name, password)
	}
	return refuse("the password of the token '%s' of registry '%s' was renewed or deleted since it signed in", name, reg).
		Hint("az acr token credential generate --registry %s --name %s", reg, name)
}

// checkScoped asks the scope map. Everybody who is somebody may see the catalogue, which
// then has what may be seen.
func (c *call) checkScoped(subject token.Subject, action oci.Action, on string) error {
	grant, err := c.scoped(subject)
	if err != nil {
		return err
	}
	verb, known := scopedVerbs[action]
	switch {
	case action == oci.Catalog && on == oci.CatalogAccess().Name:
		return nil
	case !known:
		return problem.New(problem.Denied, "DENIED", "requested access to the resource is denied: the token '%s' of registry '%s' may not perform '%s' on '%s', and scope maps have no action for it", grant.Token.ID.Name(), c.resource.ID.Name(), action, on).
			Hint("sign in with a role instead")
	case grant.Permissions.Allow(on, verb):
		return nil
	}
	return c.notInMap(grant, verb, on)
}

// notInMap says what is missing in which scope map, and how to add it.
func (c *call) notInMap(grant repotoken.Grant, verb repotoken.Verb, repository string) error {
	reg, name := c.resource.ID.Name(), grant.Token.ID.Name()
	p := problem.New(problem.Denied, "DENIED", "requested access to the resource is denied: the token '%s' of registry '%s' needs '%s' on repository '%s', which its scope map '%s' does not have",
		name, reg, verb, repository, grant.Map).On(repository)
	if grant.SystemMap {
		return p.Hint("az acr scope-map create --registry %s --name NAME --repository %s %s", reg, repository, verb).
			Hint("az acr token update --registry %s --name %s --scope-map NAME", reg, name)
	}
	return p.Hint("az acr scope-map update --registry %s --name %s --add-repository %s %s", reg, grant.Map, repository, verb)
}

// visibleBatch is how many names are read at once to find those that a token may see.
const visibleBatch = 1000

// visible lists those repositories of the registry that the token may see.
func (c *call) visible(ctx context.Context, name string, page registry.Page) ([]string, error) {
	grant, err := c.scoped(c.subject)
	if err != nil {
		return nil, err
	}
	var names []string
	batch := page
	for batch.N = max(page.N, visibleBatch); ; {
		all, err := c.server.Content.Repositories(ctx, name, batch)
		if err != nil {
			return nil, err
		}
		for _, repository := range all {
			if !grant.Permissions.Visible(repository) {
				continue
			}
			if names = append(names, repository); len(names) == page.N {
				return names, nil
			}
		}
		if len(all) < batch.N {
			return names, nil
		}
		batch.Last = all[len(all)-1]
	}
}

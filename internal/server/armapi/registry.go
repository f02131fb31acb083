package armapi

import (
	"context"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry/repotoken"
)

// credentials shows the passwords of the admin user.
func (h handlers) credentials(ctx context.Context, c *Call) (any, error) {
	return h.Registries.Credentials(ctx, c.ID)
}

func (h handlers) regenerateCredential(ctx context.Context, c *Call) (any, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := c.Decode(&body); err != nil {
		return nil, err
	}
	return h.Registries.RegenerateCredential(ctx, c.ID, body.Name)
}

// generateCredentials makes passwords of a repository-scoped token, and is the one answer
// that shows them.
func (h handlers) generateCredentials(ctx context.Context, c *Call) (any, error) {
	var req repotoken.GenerateRequest
	if err := c.Decode(&req); err != nil {
		return nil, err
	}
	return h.Tokens.Generate(ctx, c.ID, req, string(c.Caller.ObjectID), c.Now)
}

// usages tells how much of what its tier includes a registry has.
func (h handlers) usages(ctx context.Context, c *Call) (any, error) {
	all, err := h.Registries.Usages(ctx, c.ID, h.Content)
	return map[string]any{"value": all}, err
}

// empty serves a type of which there are none yet: clients that list it find
// nothing, and whoever wants to make one is refused by name.
func (s *Server) empty(k arm.Kind, oldest string) {
	refuse := func(context.Context, *Call) (answer, error) {
		return answer{}, problem.New(problem.Unsupported, "NotImplemented", "Changing resources of the type '%s' is not available in this version of Acrux.", k)
	}
	s.add(&kind{Kind: k, oldest: oldest, actions: map[string]action{}, put: refuse, patch: refuse, delete: refuse,
		get: func(ctx context.Context, c *Call) (any, error) {
			if err := resource.CheckParents(ctx, s.Documents, c.ID); err != nil {
				return nil, err
			}
			return nil, resource.NotFound(k.Canonical(c.ID))
		},
		list: func(ctx context.Context, c *Call, _ resource.Query) (part, error) {
			return part{}, resource.CheckParents(ctx, s.Documents, c.ID.Child("", ""))
		}})
}

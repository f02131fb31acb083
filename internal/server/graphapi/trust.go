package graphapi

import (
	"context"
	"errors"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm/problem"
)

// trustBody is a federated credential of an application, on the wire.
type trustBody struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	Audiences   []string `json:"audiences"`
	Description *string  `json:"description"`
}

func bodyOfTrust(t identity.Trust) trustBody {
	return trustBody{ID: t.ID, Name: t.Name, Issuer: t.Issuer, Subject: t.Subject, Audiences: t.Audiences, Description: &t.Description}
}

var trustMembers = []string{"id", "name", "issuer", "subject", "audiences", "description"}

func (c *call) listTrusts() (answer, error) {
	app, err := c.application()
	if err != nil {
		return answer{}, err
	}
	all, err := c.server.Directory.Trusts(c.Context(), app.ClientID)
	values := make([]trustBody, len(all))
	for i, t := range all {
		values[i] = bodyOfTrust(t)
	}
	return ok(map[string]any{"@odata.context": c.base + "/$metadata#applications('" + string(app.ObjectID) + "')/federatedIdentityCredentials", "value": values}), err
}

// trust finds the one that the path names, by ID or name.
func (c *call) trust(ctx context.Context, app identity.Registration) (identity.Trust, error) {
	all, err := c.server.Directory.Trusts(ctx, app.ClientID)
	if err != nil {
		return identity.Trust{}, err
	}
	for _, t := range all {
		if strings.EqualFold(t.ID, c.below) || t.Name == c.below {
			return t, nil
		}
	}
	return identity.Trust{}, missing(c.below)
}

func (c *call) oneTrust() (answer, error) {
	app, err := c.application()
	if err != nil {
		return answer{}, err
	}
	t, err := c.trust(c.Context(), app)
	return ok(bodyOfTrust(t)), err
}

func (c *call) newTrust() (answer, error) {
	var body trustBody
	if err := c.read(&body, nil, trustMembers...); err != nil {
		return answer{}, err
	}
	app, err := c.mine(c.application)
	if err != nil {
		return answer{}, err
	}
	t := identity.Trust{Name: body.Name, Issuer: body.Issuer, Subject: body.Subject, Audiences: body.Audiences}
	if body.Description != nil {
		t.Description = *body.Description
	}
	t, err = c.server.Directory.AddTrust(c.Context(), app.ClientID, t)
	return created(bodyOfTrust(t)), trustExists(err)
}

func trustExists(err error) error {
	if errors.Is(err, identity.ErrExists) {
		return problem.New(problem.Conflict, "Request_MultipleObjectsWithSameKeyValue", "The application has a federated credential with this name, or with this issuer and subject.")
	}
	return err
}

func (c *call) patchTrust() (answer, error) {
	var body trustBody
	if err := c.read(&body, nil, trustMembers...); err != nil {
		return answer{}, err
	}
	app, err := c.mine(c.application)
	if err != nil {
		return answer{}, err
	}
	return done, trustExists(c.server.Directory.InTx(c.Context(), func(ctx context.Context) error {
		t, err := c.trust(ctx, app)
		if err != nil {
			return err
		}
		if body.Name != "" && body.Name != t.Name {
			return badRequest("The name of a federated credential cannot be changed.").On("name")
		}
		change(&t.Issuer, body.Issuer)
		change(&t.Subject, body.Subject)
		if body.Audiences != nil {
			t.Audiences = body.Audiences
		}
		if body.Description != nil {
			t.Description = *body.Description
		}
		return c.server.Directory.SetTrust(ctx, app.ClientID, t)
	}))
}

func change(field *string, to string) {
	if to != "" {
		*field = to
	}
}

func (c *call) deleteTrust() (answer, error) {
	app, err := c.mine(c.application)
	if err != nil {
		return answer{}, err
	}
	t, err := c.trust(c.Context(), app)
	if err != nil {
		return answer{}, err
	}
	return done, orMissing(c.server.Directory.DeleteTrust(c.Context(), app.ClientID, t.ID), c.below)
}

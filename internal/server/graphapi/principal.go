package graphapi

import (
	"context"
	"errors"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm/problem"
)

var principalProperties = []string{"id", "appId", "displayName", "servicePrincipalNames", "servicePrincipalType", "accountEnabled"}

// principalObject renders a service principal. Its credentials are those of its
// application: here, both have them in common.
func (c *call) principalObject(p identity.Principal) object {
	id := string(p.ClientID)
	return object{properties: map[string]any{"@odata.type": "#microsoft.graph.servicePrincipal", "id": string(p.ObjectID), "appId": id, "displayName": p.DisplayName,
		"appDisplayName": p.DisplayName, "servicePrincipalNames": []string{id}, "servicePrincipalType": string(p.Kind), "accountEnabled": !p.Disabled,
		"appOwnerOrganizationId": c.server.TenantID, "createdDateTime": stamp(p.Created), "alternativeNames": alternativeNames(p), "tags": []string{}},
		more: func(properties map[string]any) error { return c.addCredentials(properties, p.ClientID) }}
}

// alternativeNames tell of a managed identity where it lives.
func alternativeNames(p identity.Principal) []string {
	if p.Resource == "" {
		return []string{}
	}
	return []string{"isExplicit=True", p.Resource}
}

// whole is an object on its own.
func (c *call) whole(set string, o object) (map[string]any, error) {
	if o.more != nil {
		if err := o.more(o.properties); err != nil {
			return nil, err
		}
	}
	o.properties["@odata.context"] = c.base + "/$metadata#" + set + "/$entity"
	return o.properties, nil
}

// principals is the listing of users, or of everybody else.
func (c *call) principals(set string, known []string, users bool, render func(identity.Principal) object) listing {
	directory := c.server.Directory
	return listing{set: set, known: known,
		unique: func(property, value string) (found []object, known bool, err error) {
			var p identity.Principal
			switch property {
			case "id":
				p, err = directory.Principal(c.Context(), identity.ObjectID(value))
			case "appId", "servicePrincipalNames":
				p, err = directory.PrincipalByClientID(c.Context(), identity.ClientID(value))
			case "userPrincipalName":
				p, err = directory.PrincipalByUserName(c.Context(), value)
			default:
				return nil, false, nil
			}
			if err == nil && (p.Kind == identity.User) != users {
				err = identity.ErrNotFound
			}
			return foundOne(render(p), err)
		},
		read: func(q identity.Query) ([]object, error) {
			all, err := directory.Principals(c.Context(), users, q)
			return objectsOf(all, render), err
		}}
}

func (c *call) listPrincipals() (answer, error) {
	return c.list(c.principals("servicePrincipals", principalProperties, false, c.principalObject))
}

// principal finds the service principal that the path names.
func (c *call) principal(ctx context.Context) (p identity.Principal, err error) {
	if id, ok := strings.CutPrefix(c.id, "appId="); ok {
		p, err = c.server.Directory.PrincipalByClientID(ctx, identity.ClientID(id))
	} else {
		p, err = c.server.Directory.Principal(ctx, identity.ObjectID(c.id))
	}
	if errors.Is(err, identity.ErrNotFound) || err == nil && p.Kind == identity.User {
		err = missing(c.id)
	}
	return p, err
}

func (c *call) onePrincipal() (answer, error) {
	p, err := c.principal(c.Context())
	if err != nil {
		return answer{}, err
	}
	body, err := c.whole("servicePrincipals", c.principalObject(p))
	return ok(body), err
}

// newPrincipal makes the service principal of an application.
func (c *call) newPrincipal() (answer, error) {
	var body struct {
		AppID   identity.ClientID `json:"appId"`
		Enabled *bool             `json:"accountEnabled"`
	}
	if err := c.read(&body, nil, "appId", "accountEnabled", "tags", "servicePrincipalType", "displayName"); err != nil {
		return answer{}, err
	}
	app, err := c.server.Directory.RegistrationByClientID(c.Context(), body.AppID)
	if errors.Is(err, identity.ErrNotFound) {
		return answer{}, badRequest("There is no application with the appId '%s' here.", body.AppID).Hint("az ad app create --display-name NAME")
	}
	if err != nil {
		return answer{}, err
	}
	if err := c.mayManage(app); err != nil {
		return answer{}, err
	}
	var p identity.Principal
	err = c.server.Directory.InTx(c.Context(), func(ctx context.Context) (err error) {
		if p, err = c.server.Directory.NewServicePrincipal(ctx, app.ClientID, c.now); err != nil || body.Enabled == nil || *body.Enabled {
			return err
		}
		p.Disabled = true
		return c.server.Directory.PutPrincipal(ctx, p)
	})
	if errors.Is(err, identity.ErrExists) {
		return answer{}, problem.New(problem.Conflict, "Request_MultipleObjectsWithSameKeyValue", "The service principal cannot be created because the service principal name '%s' is already in use.", body.AppID)
	}
	if err != nil {
		return answer{}, err
	}
	whole, err := c.whole("servicePrincipals", c.principalObject(p))
	return created(whole), err
}

// patchPrincipal disables a service principal, or enables it again, and replaces the
// certificates of its application.
func (c *call) patchPrincipal() (answer, error) {
	var body struct {
		Enabled *bool            `json:"accountEnabled"`
		Keys    *[]keyCredential `json:"keyCredentials"`
	}
	p, err := c.principal(c.Context())
	if err != nil {
		return answer{}, err
	}
	shown, err := c.whole("servicePrincipals", c.principalObject(p))
	if err != nil {
		return answer{}, err
	}
	if err := c.read(&body, shown, "accountEnabled", "keyCredentials"); err != nil {
		return answer{}, err
	}
	if body.Enabled != nil {
		if err := c.mayWrite(p.ObjectID); err != nil {
			return answer{}, err
		}
		p.Disabled = !*body.Enabled
		if err := c.server.Directory.PutPrincipal(c.Context(), p); err != nil {
			return answer{}, err
		}
	}
	if body.Keys == nil {
		return done, nil
	}
	app, err := c.appOfPrincipal()
	if err != nil {
		return answer{}, err
	}
	return done, c.setKeys(app, *body.Keys)
}

// deletePrincipal removes a service principal with its role assignments. Its
// application stays.
func (c *call) deletePrincipal() (answer, error) {
	p, err := c.principal(c.Context())
	if err != nil {
		return answer{}, err
	}
	if p.Kind == identity.ManagedIdentity {
		return answer{}, badRequest("'%s' is a managed identity: it goes when what it belongs to is deleted, %s.", p.DisplayName, p.Resource).
			Hint("az resource delete --ids %s", p.Resource)
	}
	app, err := c.appOf(p)
	if err != nil {
		return answer{}, err
	}
	if err := c.mayManage(app); err != nil {
		return answer{}, err
	}
	return done, c.server.Directory.DeletePrincipal(c.Context(), p.ObjectID)
}

// appOfPrincipal finds the application of the service principal that the path names.
func (c *call) appOfPrincipal() (identity.Registration, error) {
	p, err := c.principal(c.Context())
	if err != nil {
		return identity.Registration{}, err
	}
	if p.Kind == identity.ManagedIdentity {
		return identity.Registration{}, badRequest("'%s' is a managed identity: it has no credentials of its own.", p.DisplayName)
	}
	return c.appOf(p)
}

// appOf is the application of a service principal.
func (c *call) appOf(p identity.Principal) (identity.Registration, error) {
	app, err := c.server.Directory.RegistrationByClientID(c.Context(), p.ClientID)
	return app, orMissing(err, string(p.ClientID))
}

// orNobody takes it that there may be nobody.
func orNobody(err error) error {
	if errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	return err
}

func orMissing(err error, id string) error {
	if errors.Is(err, identity.ErrNotFound) {
		return missing(id)
	}
	return err
}

func (c *call) principalOwners() (answer, error) {
	p, err := c.principal(c.Context())
	if err != nil {
		return answer{}, err
	}
	app, err := c.server.Directory.RegistrationByClientID(c.Context(), p.ClientID)
	if err := orNobody(err); err != nil {
		return answer{}, err
	}
	return c.owners(app)
}

// owners lists who owns an application, at most one.
func (c *call) owners(app identity.Registration) (answer, error) {
	objects := []object{}
	if app.Owner != "" {
		p, err := c.server.Directory.Principal(c.Context(), app.Owner)
		if err := orNobody(err); err != nil {
			return answer{}, err
		}
		if p.ObjectID != "" {
			objects = append(objects, c.anyObject(p))
		}
	}
	return c.list(allOf("directoryObjects", principalProperties, objects))
}

// anyObject renders a principal as what it is.
func (c *call) anyObject(p identity.Principal) object {
	if p.Kind == identity.User {
		return userObject(p)
	}
	return c.principalObject(p)
}

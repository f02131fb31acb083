package graphapi

import (
	"context"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm/problem"
)

var applicationProperties = []string{"id", "appId", "displayName", "identifierUris"}

func (c *call) applicationObject(app identity.Registration) object {
	return object{properties: map[string]any{"@odata.type": "#microsoft.graph.application", "id": string(app.ObjectID), "appId": string(app.ClientID), "displayName": app.DisplayName,
		"createdDateTime": stamp(app.Created), "identifierUris": []string{}, "signInAudience": "AzureADMyOrg", "publisherDomain": nil, "tags": []string{}, "requiredResourceAccess": []string{}},
		more: func(properties map[string]any) error { return c.addCredentials(properties, app.ClientID) }}
}

func (c *call) listApplications() (answer, error) {
	directory := c.server.Directory
	return c.list(listing{set: "applications", known: applicationProperties,
		unique: func(property, value string) (found []object, known bool, err error) {
			var app identity.Registration
			switch property {
			case "id":
				app, err = directory.Registration(c.Context(), identity.ObjectID(value))
			case "appId":
				app, err = directory.RegistrationByClientID(c.Context(), identity.ClientID(value))
			default:
				return nil, false, nil
			}
			return foundOne(c.applicationObject(app), err)
		},
		read: func(q identity.Query) ([]object, error) {
			all, err := directory.Registrations(c.Context(), q)
			return objectsOf(all, c.applicationObject), err
		}})
}

// foundOne is what was found under something unique: one object, or none.
func foundOne(o object, err error) ([]object, bool, error) {
	if err != nil {
		return nil, true, orNobody(err)
	}
	return []object{o}, true, nil
}

func objectsOf[T any](all []T, render func(T) object) []object {
	objects := make([]object, len(all))
	for i, one := range all {
		objects[i] = render(one)
	}
	return objects
}

// application finds the one that the path names.
func (c *call) application() (app identity.Registration, err error) {
	if id, ok := strings.CutPrefix(c.id, "appId="); ok {
		app, err = c.server.Directory.RegistrationByClientID(c.Context(), identity.ClientID(id))
	} else {
		app, err = c.server.Directory.Registration(c.Context(), identity.ObjectID(c.id))
	}
	return app, orMissing(err, c.id)
}

// mine is the application that the path names, if the caller may manage it.
func (c *call) mine(find func() (identity.Registration, error)) (identity.Registration, error) {
	app, err := find()
	if err != nil {
		return app, err
	}
	return app, c.mayManage(app)
}

func (c *call) oneApplication() (answer, error) {
	app, err := c.application()
	if err != nil {
		return answer{}, err
	}
	body, err := c.whole("applications", c.applicationObject(app))
	return ok(body), err
}

// applicationBody is what can be written of an application.
type applicationBody struct {
	DisplayName    *string               `json:"displayName"`
	SignInAudience *string               `json:"signInAudience"`
	Keys           *[]keyCredential      `json:"keyCredentials"`
	Passwords      *[]passwordCredential `json:"passwordCredentials"`
}

func (c *call) readApplication(shown map[string]any) (body applicationBody, err error) {
	if err := c.read(&body, shown, "displayName", "signInAudience", "keyCredentials", "passwordCredentials"); err != nil {
		return body, err
	}
	if body.DisplayName != nil {
		if err := checkName(*body.DisplayName); err != nil {
			return body, err
		}
	}
	switch {
	case body.SignInAudience != nil && *body.SignInAudience != "AzureADMyOrg":
		return body, problem.New(problem.Unsupported, "NotImplemented", "The signInAudience '%s' is not available in this version of Acrux: there is one tenant, 'AzureADMyOrg'.", *body.SignInAudience)
	case body.Passwords != nil && len(*body.Passwords) > 0:
		return body, badRequest("The property 'passwordCredentials' cannot be written: use addPassword and removePassword.").On("passwordCredentials")
	}
	return body, nil
}

func (c *call) newApplication() (answer, error) {
	body, err := c.readApplication(nil)
	if err != nil {
		return answer{}, err
	}
	if body.DisplayName == nil {
		return answer{}, badRequest("A value is required for property 'displayName' of resource 'Application'.").On("displayName")
	}
	if err := c.mayWrite(""); err != nil {
		return answer{}, err
	}
	certificates, err := readKeys(body.Keys, c.now)
	if err != nil {
		return answer{}, err
	}
	var app identity.Registration
	err = c.server.Directory.InTx(c.Context(), func(ctx context.Context) error {
		if app, err = c.server.Directory.Register(ctx, *body.DisplayName, c.caller.ObjectID, c.now); err != nil {
			return err
		}
		return c.server.Directory.SetCertificates(ctx, app.ClientID, certificates)
	})
	if err != nil {
		return answer{}, err
	}
	whole, err := c.whole("applications", c.applicationObject(app))
	return created(whole), err
}

// patchApplication changes the name of an application, and of its service principal, and
// replaces its certificates.
func (c *call) patchApplication() (answer, error) {
	app, err := c.mine(c.application)
	if err != nil {
		return answer{}, err
	}
	shown, err := c.whole("applications", c.applicationObject(app))
	if err != nil {
		return answer{}, err
	}
	body, err := c.readApplication(shown)
	if err != nil {
		return answer{}, err
	}
	if body.DisplayName != nil {
		if err := c.rename(app, *body.DisplayName); err != nil {
			return answer{}, err
		}
	}
	if body.Keys == nil {
		return done, nil
	}
	return done, c.setKeys(app, *body.Keys)
}

func (c *call) rename(app identity.Registration, name string) error {
	directory := c.server.Directory
	return directory.InTx(c.Context(), func(ctx context.Context) error {
		app.DisplayName = name
		if err := directory.PutRegistration(ctx, app); err != nil {
			return err
		}
		p, err := directory.PrincipalByClientID(ctx, app.ClientID)
		if err != nil {
			return orNobody(err)
		}
		p.DisplayName = name
		return directory.PutPrincipal(ctx, p)
	})
}

func (c *call) deleteApplication() (answer, error) {
	app, err := c.mine(c.application)
	if err != nil {
		return answer{}, err
	}
	return done, orMissing(c.server.Directory.DeleteApplication(c.Context(), app.ObjectID), c.id)
}

func (c *call) applicationOwners() (answer, error) {
	app, err := c.application()
	if err != nil {
		return answer{}, err
	}
	return c.owners(app)
}

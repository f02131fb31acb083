package graphapi

import (
	"context"
	"errors"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

var userProperties = []string{"id", "displayName", "userPrincipalName", "mail", "accountEnabled"}

func userObject(p identity.Principal) object {
	return object{properties: map[string]any{"@odata.type": "#microsoft.graph.user", "id": string(p.ObjectID), "displayName": p.DisplayName, "userPrincipalName": p.UserName,
		"accountEnabled": !p.Disabled, "createdDateTime": stamp(p.Created), "mail": nil, "givenName": nil, "surname": nil, "jobTitle": nil, "mobilePhone": nil,
		"officeLocation": nil, "preferredLanguage": nil, "businessPhones": []string{}}}
}

func (c *call) listUsers() (answer, error) {
	return c.list(c.principals("users", userProperties, true, userObject))
}

// user finds the one whose ID or name the path has.
func (c *call) user(ctx context.Context) (identity.Principal, error) {
	p, err := c.server.Directory.Principal(ctx, identity.ObjectID(c.id))
	if errors.Is(err, identity.ErrNotFound) {
		p, err = c.server.Directory.PrincipalByUserName(ctx, c.id)
	}
	if err == nil && p.Kind != identity.User {
		err = identity.ErrNotFound
	}
	return p, orMissing(err, c.id)
}

func (c *call) oneUser() (answer, error) {
	p, err := c.user(c.Context())
	if err != nil {
		return answer{}, err
	}
	body, err := c.whole("users", userObject(p))
	return ok(body), err
}

// userBody is what can be written of a user.
type userBody struct {
	DisplayName *string `json:"displayName"`
	UserName    *string `json:"userPrincipalName"`
	Enabled     *bool   `json:"accountEnabled"`
	Nickname    string  `json:"mailNickname"` // of mail, which there is none of
	Profile     *struct {
		Password    secret.String `json:"password"`
		ForceChange bool          `json:"forceChangePasswordNextSignIn"`
		ForceMFA    bool          `json:"forceChangePasswordNextSignInWithMfa"`
	} `json:"passwordProfile"`
}

func (c *call) readUser(shown map[string]any) (body userBody, err error) {
	if err := c.read(&body, shown, "displayName", "userPrincipalName", "accountEnabled", "mailNickname", "passwordProfile"); err != nil {
		return body, err
	}
	if body.DisplayName != nil {
		if err := checkName(*body.DisplayName); err != nil {
			return body, err
		}
	}
	if p := body.Profile; p != nil && (p.ForceChange || p.ForceMFA) {
		return body, problem.New(problem.Unsupported, "NotImplemented", "Forcing a user to change the password at the next sign-in is not available in this version of Acrux.").On("passwordProfile")
	}
	return body, nil
}

func (c *call) newUser() (answer, error) {
	body, err := c.readUser(nil)
	if err != nil {
		return answer{}, err
	}
	switch {
	case body.UserName == nil:
		return answer{}, badRequest("A value is required for property 'userPrincipalName' of resource 'User'.").On("userPrincipalName")
	case body.DisplayName == nil:
		return answer{}, badRequest("A value is required for property 'displayName' of resource 'User'.").On("displayName")
	case body.Profile == nil:
		return answer{}, badRequest("A password must be specified to create a new user.").On("passwordProfile")
	}
	if err := c.mayWrite(""); err != nil {
		return answer{}, err
	}
	u := identity.Principal{UserName: *body.UserName, DisplayName: *body.DisplayName, Created: c.now, Disabled: body.Enabled != nil && !*body.Enabled}
	u, err = c.server.Directory.NewUser(c.Context(), u, body.Profile.Password)
	if errors.Is(err, identity.ErrExists) {
		return answer{}, badRequest("Another object with the same value for property userPrincipalName already exists.").On("userPrincipalName")
	}
	if err != nil {
		return answer{}, err
	}
	whole, err := c.whole("users", userObject(u))
	return created(whole), err
}

// patchUser changes the name that is shown, the password, and whether the user may sign
// in.
func (c *call) patchUser() (answer, error) {
	u, err := c.user(c.Context())
	if err != nil {
		return answer{}, err
	}
	body, err := c.readUser(userObject(u).properties)
	if err != nil {
		return answer{}, err
	}
	if err := c.mayWrite(u.ObjectID); err != nil {
		return answer{}, err
	}
	if body.UserName != nil && *body.UserName != u.UserName {
		return answer{}, problem.New(problem.Unsupported, "NotImplemented", "Changing the userPrincipalName is not available in this version of Acrux: it is what the user signs in with.").On("userPrincipalName")
	}
	if body.DisplayName != nil {
		u.DisplayName = *body.DisplayName
	}
	if body.Enabled != nil {
		u.Disabled = !*body.Enabled
	}
	if body.Profile != nil {
		if err := c.server.Directory.SetPassword(c.Context(), u, body.Profile.Password); err != nil {
			return answer{}, err
		}
	}
	return done, c.server.Directory.PutPrincipal(c.Context(), u)
}

func (c *call) deleteUser() (answer, error) {
	u, err := c.user(c.Context())
	if err != nil {
		return answer{}, err
	}
	if err := c.mayWrite(u.ObjectID); err != nil {
		return answer{}, err
	}
	return done, c.server.Directory.DeletePrincipal(c.Context(), u.ObjectID)
}

package graphapi

import (
	"context"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm/problem"
)

// maxIDs is how many objects may be asked for at once.
const maxIDs = 1000

// byIDs answers with those of the objects that exist, of the types that are named.
func (c *call) byIDs() (answer, error) {
	var body struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := c.read(&body, nil, "ids", "types"); err != nil {
		return answer{}, err
	}
	if len(body.IDs) > maxIDs {
		return answer{}, badRequest("The request names %d objects; at most %d can be asked for at once.", len(body.IDs), maxIDs)
	}
	values := []any{}
	for _, id := range body.IDs {
		o, err := c.find(c.Context(), id)
		if err != nil {
			return answer{}, err
		}
		if o.properties == nil || !ofType(o, body.Types) {
			continue
		}
		if o.more != nil {
			if err := o.more(o.properties); err != nil {
				return answer{}, err
			}
		}
		values = append(values, o.properties)
	}
	return ok(map[string]any{"@odata.context": c.base + "/$metadata#directoryObjects", "value": values}), nil
}

// ofType reports whether an object is of one of the types; no types are all.
func ofType(o object, types []string) bool {
	typ, _ := o.properties["@odata.type"].(string)
	return len(types) == 0 || slices.ContainsFunc(types, func(name string) bool {
		return strings.EqualFold(name, "directoryObject") || strings.EqualFold("#microsoft.graph."+name, typ)
	})
}

// find returns the object with an ID, without properties if there is none.
func (c *call) find(ctx context.Context, id string) (object, error) {
	p, err := c.server.Directory.Principal(ctx, identity.ObjectID(id))
	if err == nil {
		return c.anyObject(p), nil
	}
	if err := orNobody(err); err != nil {
		return object{}, err
	}
	app, err := c.server.Directory.Registration(ctx, identity.ObjectID(id))
	if err == nil {
		return c.applicationObject(app), nil
	}
	return object{}, orNobody(err)
}

func (c *call) object() (answer, error) {
	o, err := c.find(c.Context(), c.id)
	if err != nil {
		return answer{}, err
	}
	if o.properties == nil {
		return answer{}, missing(c.id)
	}
	body, err := c.whole("directoryObjects", o)
	return ok(body), err
}

// me is the user who calls. As in Azure, an application is nobody's "me".
func (c *call) me() (answer, error) {
	if c.caller.Kind != identity.User {
		return answer{}, problem.New(problem.Invalid, "BadRequest", "/me request is only valid with delegated authentication flow: the caller is the service principal '%s' and no user.", c.caller.DisplayName).
			Hint("az ad sp show --id %s", c.caller.ClientID)
	}
	body, err := c.whole("users", userObject(c.caller))
	return ok(body), err
}

// owned lists the applications that the caller registered, and their service principals.
func (c *call) owned() (answer, error) {
	apps, err := c.server.Directory.Registrations(c.Context(), identity.Query{Owner: c.caller.ObjectID})
	if err != nil {
		return answer{}, err
	}
	objects := []object{}
	for _, app := range apps {
		objects = append(objects, c.applicationObject(app))
		p, err := c.server.Directory.PrincipalByClientID(c.Context(), app.ClientID)
		if err := orNobody(err); err != nil {
			return answer{}, err
		}
		if p.ObjectID != "" {
			objects = append(objects, c.principalObject(p))
		}
	}
	return c.list(allOf("directoryObjects", principalProperties, objects))
}

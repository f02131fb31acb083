package cli

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
)

// host is a registry's own host, as a command was let in: as who is signed in, or with
// --username and --password.
type host struct {
	client   *client.Client
	server   string // login server
	username string
	password secret.String
	resource document // of the registry; nil if it was not asked for
}

// host returns the host of the registry that a flag names, by its name or its login
// server. With a user name of the registry nobody has to see its resource.
func (c *call) host(ctx context.Context, name string) (host, error) {
	name, suffix, given := strings.Cut(name, ".")
	h := host{client: c.client, username: c.text("username"), password: secret.New(c.text("password"))}
	switch {
	case (h.username == "") != h.password.Empty():
		return h, invalidArgument("--username and --password go together")
	case given && c.client.LoginServer(name) != strings.ToLower(name+"."+suffix):
		return h, invalidArgument("'%s.%s' is not a registry of this server: they are named like %s", name, suffix, c.client.LoginServer("NAME"))
	case h.username != "":
		h.server = c.client.LoginServer(name)
		return h, nil
	}
	doc, err := c.getRegistry(ctx, name)
	var p *problem.Error
	if errors.As(err, &p) && (p.Kind == problem.NotFound || p.Kind == problem.Denied) {
		// Who may only pull sees no resource: the name and the suffix make the login server.
		h.server = c.client.LoginServer(name)
		if _, refused := c.client.RefreshToken(ctx, h.server); errors.As(refused, &p) && p.Kind == problem.Denied {
			return h, refused
		} else if refused != nil {
			return h, err
		}
		return h, nil
	}
	h.server, _ = doc["loginServer"].(string) // every registry has one
	h.resource = doc
	return h, err
}

func (h host) do(ctx context.Context, method, path string, access oci.Access, in, out any) (client.Response, error) {
	return h.client.Registry(ctx, client.RegistryRequest{Server: h.server, Method: method, Path: path, Scope: access.String(), In: in,
		Username: h.username, Password: h.password}, out)
}

// pages reads a listing page by page, up to top entries; all of them if top is 0.
func (h host) pages(ctx context.Context, path string, query url.Values, access oci.Access, member string, top int) ([]any, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("n", "1000")
	all := []any{}
	for path += "?" + query.Encode(); path != "" && (top == 0 || len(all) < top); {
		var body document
		res, err := h.do(ctx, "GET", path, access, nil, &body)
		if err != nil {
			return nil, err
		}
		page, _ := body[member].([]any) // null is an empty page
		all = append(all, page...)
		path = res.NextPage()
	}
	if top > 0 && len(all) > top {
		all = all[:top]
	}
	return all, nil
}

// top reads --top: 0 without it.
func (c *call) top() (int, error) {
	n, err := c.number("top", 0)
	if err == nil && c.given("top") && n < 1 {
		err = invalidArgument("--top %s is not a positive number", c.text("top"))
	}
	return n, err
}

// order reads --orderby in the API's words.
func (c *call) order() url.Values {
	if order := c.text("orderby"); order != "" {
		return url.Values{"orderby": {strings.ReplaceAll(order, "_", "")}}
	}
	return nil
}

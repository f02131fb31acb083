package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// graphDo sends a request to the directory and reads the object it answers with.
func (c *call) graphDo(ctx context.Context, method, path string, in any) (document, error) {
	text, err := c.client.Graph(ctx, method, "/v1.0/"+path, in)
	if err != nil || len(text) == 0 {
		return nil, err
	}
	var out document
	err = json.Unmarshal(text, &out)
	delete(out, "@odata.context")
	return out, err
}

// graphAll lists objects of the directory, page by page.
func (c *call) graphAll(ctx context.Context, path, filter string) ([]document, error) {
	if filter != "" {
		path += "?$filter=" + url.QueryEscape(filter)
	}
	all := []document{}
	for path != "" {
		page, err := c.graphDo(ctx, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		values, _ := page["value"].([]any) // null is an empty page
		for _, v := range values {
			object, _ := v.(map[string]any) // the API has nothing else
			all = append(all, object)
		}
		next, _ := page["@odata.nextLink"].(string)
		path = strings.TrimPrefix(next, c.client.GraphURL+"/v1.0/")
	}
	return all, nil
}

// odata is a text in a filter.
func odata(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// servicePrincipal finds a service principal by object ID, client ID or name.
func (c *call) servicePrincipal(ctx context.Context, who string) (document, error) {
	found, err := c.graphAll(ctx, "servicePrincipals", "servicePrincipalNames/any(c:c eq "+odata(who)+")")
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		return found[0], nil
	}
	return c.graphDo(ctx, http.MethodGet, "servicePrincipals/"+url.PathEscape(who), nil)
}

func listServicePrincipals(ctx context.Context, c *call) (any, error) {
	var filters []string
	for flag, form := range map[string]string{"display-name": "startswith(displayName,%)", "spn": "servicePrincipalNames/any(c:c eq %)"} {
		if text := c.text(flag); text != "" {
			filters = append(filters, strings.Replace(form, "%", odata(text), 1))
		}
	}
	if filter := c.text("filter"); filter != "" {
		filters = append(filters, filter)
	}
	if c.toggle("show-mine") {
		return nil, problem.New(problem.Unsupported, "NotImplemented", "--show-mine is not available in this version of Acrux")
	}
	return c.graphAll(ctx, "servicePrincipals", strings.Join(filters, " and "))
}

func showServicePrincipal(ctx context.Context, c *call) (any, error) {
	return c.servicePrincipal(ctx, c.text("id"))
}

func deleteServicePrincipal(ctx context.Context, c *call) (any, error) {
	p, err := c.servicePrincipal(ctx, c.text("id"))
	if err != nil {
		return nil, err
	}
	id, _ := p["id"].(string) // every object has one
	_, err = c.graphDo(ctx, http.MethodDelete, "servicePrincipals/"+id, nil)
	return nil, err
}

// createForRBAC makes an application with a secret and a service principal, and gives it
// a role. An application that has the name already gets another secret.
func createForRBAC(ctx context.Context, c *call) (any, error) {
	role, scopes := c.text("role"), c.list("scopes")
	if (role == "") != (len(scopes) == 0) {
		return nil, invalidArgument("--role and --scopes go together")
	}
	name := c.text("display-name")
	if name == "" {
		name = "azure-cli-" + time.Now().UTC().Format("2006-01-02-15-04-05")
	}
	years, err := c.number("years", 1)
	if err != nil {
		return nil, err
	}
	app, err := c.application(ctx, name)
	if err != nil {
		return nil, err
	}
	appID, _ := app["appId"].(string) // every application has both
	object, _ := app["id"].(string)
	now := time.Now().UTC()
	password, err := c.graphDo(ctx, http.MethodPost, "applications/"+object+"/addPassword", document{"passwordCredential": document{
		"displayName": "rbac", "startDateTime": now.Format(time.RFC3339), "endDateTime": now.AddDate(years, 0, 0).Format(time.RFC3339)}})
	if err != nil {
		return nil, err
	}
	principal, err := c.servicePrincipalOf(ctx, appID)
	if err != nil {
		return nil, err
	}
	id, _ := principal["id"].(string) // every object has one
	for _, scope := range scopes {
		c.warn("Creating '%s' role assignment under scope '%s'", role, scope)
		if _, err := c.assign(ctx, role, scope, id, "ServicePrincipal"); err != nil {
			return nil, err
		}
	}
	c.warn("The output includes credentials that you must protect.")
	return document{"appId": appID, "displayName": name, "password": password["secretText"], "tenant": c.client.Tenant}, nil
}

// application finds an application by its name, or makes it.
func (c *call) application(ctx context.Context, name string) (document, error) {
	found, err := c.graphAll(ctx, "applications", "displayName eq "+odata(name))
	if err != nil || len(found) > 1 {
		if err == nil {
			err = problem.New(problem.Conflict, "Ambiguous", "there are %d applications named '%s'", len(found), name)
		}
		return nil, err
	}
	if len(found) == 1 {
		c.warn("Found an existing application; it gets another secret.")
		return found[0], nil
	}
	return c.graphDo(ctx, http.MethodPost, "applications", document{"displayName": name})
}

func (c *call) servicePrincipalOf(ctx context.Context, appID string) (document, error) {
	found, err := c.graphAll(ctx, "servicePrincipals", "appId eq "+odata(appID))
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	return c.graphDo(ctx, http.MethodPost, "servicePrincipals", document{"appId": appID, "accountEnabled": true})
}

func listApplications(ctx context.Context, c *call) (any, error) {
	filter := c.text("filter")
	if name := c.text("display-name"); name != "" {
		filter = "startswith(displayName," + odata(name) + ")"
	}
	if id := c.text("app-id"); id != "" {
		filter = "appId eq " + odata(id)
	}
	return c.graphAll(ctx, "applications", filter)
}

// applicationOf finds an application by object ID or client ID.
func (c *call) applicationOf(ctx context.Context, id string) (document, error) {
	found, err := c.graphAll(ctx, "applications", "appId eq "+odata(id))
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	return c.graphDo(ctx, http.MethodGet, "applications/"+url.PathEscape(id), nil)
}

func showApplication(ctx context.Context, c *call) (any, error) {
	return c.applicationOf(ctx, c.text("id"))
}

func deleteApplication(ctx context.Context, c *call) (any, error) {
	app, err := c.applicationOf(ctx, c.text("id"))
	if err != nil {
		return nil, err
	}
	id, _ := app["id"].(string) // every object has one
	_, err = c.graphDo(ctx, http.MethodDelete, "applications/"+id, nil)
	return nil, err
}

func showSignedInUser(ctx context.Context, c *call) (any, error) {
	return c.graphDo(ctx, http.MethodGet, "me", nil)
}

// createUser makes a user. Without --password the password is read from the standard
// input, so that it stands in no list of processes.
func createUser(ctx context.Context, c *call) (any, error) {
	password := c.text("password")
	if password == "" {
		done := c.signals.whileReading(nil)
		line, err := bufio.NewReader(c.stdin).ReadString('\n')
		done()
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return nil, invalidArgument("give --password, or the password on the standard input: %v", err)
		}
	}
	name := c.text("user-principal-name")
	nick, _, _ := strings.Cut(name, "@")
	return c.graphDo(ctx, http.MethodPost, "users", document{"displayName": c.text("display-name"), "userPrincipalName": name, "mailNickname": nick, "accountEnabled": true,
		"passwordProfile": document{"password": password, "forceChangePasswordNextSignIn": false}})
}

func listUsers(ctx context.Context, c *call) (any, error) {
	filter := c.text("filter")
	if name := c.text("upn"); name != "" {
		filter = "userPrincipalName eq " + odata(name)
	}
	return c.graphAll(ctx, "users", filter)
}

func showUser(ctx context.Context, c *call) (any, error) {
	return c.graphDo(ctx, http.MethodGet, "users/"+url.PathEscape(c.text("id")), nil)
}

func deleteUser(ctx context.Context, c *call) (any, error) {
	_, err := c.graphDo(ctx, http.MethodDelete, "users/"+url.PathEscape(c.text("id")), nil)
	return nil, err
}

func directoryCommands() []command {
	id := flag{name: "id", required: true, help: "object ID, client ID or name", path: true}
	filter := flag{name: "filter", help: "OData filter"}
	display := flag{name: "display-name", help: "what the name begins with"}
	return []command{
		{path: "ad sp create-for-rbac", short: "Make a service principal with a secret and a role", run: createForRBAC, table: members, flags: []flag{{name: "display-name", short: "n", help: "name", also: "--name"}, {name: "role", help: "name or ID of the role"},
			{name: "scopes", kind: several, help: "where it counts"}, {name: "years", help: "how long the secret counts"}}},
		{path: "ad sp list", short: "List service principals", run: listServicePrincipals, table: principalsTable, flags: []flag{display, {name: "spn", help: "client ID"}, filter, {name: "all", kind: toggle, help: "all of them (it always does)"}, {name: "show-mine", kind: toggle, help: "only own ones"}}},
		{path: "ad sp show", short: "Show a service principal", run: showServicePrincipal, table: principalsTable, flags: []flag{id}},
		{path: "ad sp delete", short: "Delete a service principal", run: deleteServicePrincipal, table: nothing, flags: []flag{id}},
		{path: "ad app list", short: "List applications", run: listApplications, table: principalsTable, flags: []flag{display, {name: "app-id", help: "client ID"}, filter, {name: "all", kind: toggle, help: "all of them (it always does)"}}},
		{path: "ad app show", short: "Show an application", run: showApplication, table: principalsTable, flags: []flag{id}},
		{path: "ad app delete", short: "Delete an application and its service principal", run: deleteApplication, table: nothing, flags: []flag{id}},
		{path: "ad user create", short: "Make a user", run: createUser, table: usersTable, flags: []flag{{name: "display-name", required: true, help: "name"}, {name: "user-principal-name", required: true, help: "NAME@DOMAIN"}, {name: "password", help: "password (default: read from the standard input)"}}},
		{path: "ad user list", short: "List users", run: listUsers, table: usersTable, flags: []flag{{name: "upn", help: "NAME@DOMAIN"}, filter}},
		{path: "ad user show", short: "Show a user", run: showUser, table: usersTable, flags: []flag{id}},
		{path: "ad user delete", short: "Delete a user", run: deleteUser, table: nothing, flags: []flag{id}},
		{path: "ad signed-in-user show", short: "Show the user who is signed in", run: showSignedInUser, table: usersTable},
	}
}

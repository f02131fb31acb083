package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// addTokenColumns adds what the table of tokens shows and the resource has elsewhere.
func addTokenColumns(token document) {
	scopeMap, _ := token["scopeMapId"].(string)
	token["scopeMap"] = scopeMap[strings.LastIndex(scopeMap, "/")+1:]
	if status, _ := token["status"].(string); status != "" {
		token["status"] = strings.ToUpper(status[:1]) + status[1:]
	}
	for _, p := range passwordsOf(token) {
		name, _ := p["name"].(string)
		token[name] = p["expiry"]
		if p["expiry"] == nil {
			token[name] = "Never"
		}
	}
}

// passwordsOf are the passwords of a token as it is shown, without their values.
func passwordsOf(token document) []map[string]any {
	credentials, _ := token["credentials"].(map[string]any)
	all, _ := credentials["passwords"].([]any) // null is none
	var passwords []map[string]any
	for _, one := range all {
		if p, ok := one.(map[string]any); ok {
			passwords = append(passwords, p)
		}
	}
	return passwords
}

func showToken(ctx context.Context, c *call) (any, error) {
	_, doc, err := c.getToken(ctx)
	if err != nil {
		return nil, err
	}
	return shownChild(doc), nil
}

func (c *call) getToken(ctx context.Context) (arm.ID, document, error) {
	id, err := c.child(ctx, "tokens")
	if err != nil {
		return id, nil, err
	}
	var doc document
	_, err = c.client.Do(ctx, "GET", id.String(), registriesVersion, nil, &doc)
	return id, doc, err
}

func listTokens(ctx context.Context, c *call) (any, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	all, err := c.listAll(ctx, registry.String()+"/tokens", registriesVersion)
	for i, doc := range all {
		all[i] = shownChild(doc)
	}
	return all, err
}

// tokenExpiry reads when passwords are to expire; nil is never.
func (c *call) tokenExpiry(now time.Time) (any, error) {
	text, days := c.text("expiration"), c.text("expiration-in-days")
	switch {
	case text != "" && days != "":
		return nil, invalidArgument("--expiration and --expiration-in-days exclude each other")
	case text != "":
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, invalidArgument("--expiration %s is not a time like 2030-12-31T12:59:59Z", text)
		}
		return at, nil
	case days != "":
		n, err := c.number("expiration-in-days", 0)
		if err == nil && (n < 1 || n > maxDays) {
			err = invalidArgument("--expiration-in-days %s is not between 1 and %d", days, maxDays)
		}
		return now.UTC().AddDate(0, 0, n), err
	}
	return nil, nil
}

// maxDays keeps an expiry within years of four digits.
const maxDays = 365_000

// createToken makes a token, with a scope map of its own if it is told repositories, and
// its passwords.
func createToken(ctx context.Context, c *call) (any, error) {
	named := len(c.list("repository"))+len(c.list("gateway")) > 0
	if named == (c.text("scope-map") != "") {
		return nil, invalidArgument("give --scope-map, or --repository for a scope map of the token's own")
	}
	expiry, err := c.tokenExpiry(time.Now())
	if err != nil {
		return nil, err
	}
	if expiry != nil && c.yes("no-passwords") {
		return nil, invalidArgument("--no-passwords leaves nothing to expire")
	}
	id, err := c.child(ctx, "tokens")
	if err != nil {
		return nil, err
	}
	scopeMap := id.Parent().Child("scopeMaps", c.text("scope-map"))
	if named {
		if scopeMap, err = c.ownScopeMap(ctx, id); err != nil {
			return nil, err
		}
	}
	properties := document{"scopeMapId": scopeMap.String(), "status": "enabled"}
	if status := c.text("status"); status != "" {
		properties["status"] = status
	}
	var doc document
	if _, err := c.client.Do(ctx, "PUT", id.String(), registriesVersion, document{"properties": properties}, &doc); err != nil || c.yes("no-passwords") {
		return shownChild(doc), err
	}
	return c.withPasswords(ctx, id, doc, expiry)
}

// withPasswords makes the passwords of a new token and shows them in it, this one time.
func (c *call) withPasswords(ctx context.Context, id arm.ID, doc document, expiry any) (any, error) {
	generated, err := c.generate(ctx, id, "", expiry)
	if err != nil {
		return nil, err
	}
	if properties, ok := doc["properties"].(map[string]any); ok {
		properties["credentials"] = map[string]any{"certificates": []any{}, "username": generated["username"], "passwords": generated["passwords"]}
	}
	c.warn("The passwords are shown this once. To sign in with one: docker login %s --username %s", c.client.LoginServer(id.Parent().Name()), id.Name())
	return shownChild(doc), nil
}

// generate asks for new passwords of a token; without a name for both.
func (c *call) generate(ctx context.Context, token arm.ID, name string, expiry any) (document, error) {
	body := document{"tokenId": token.String()}
	if name != "" {
		body["name"] = name
	}
	if expiry != nil {
		body["expiry"] = expiry
	}
	var out document
	_, err := c.client.Do(ctx, "POST", token.Parent().String()+"/generateCredentials", registriesVersion, body, &out)
	return out, err
}

func generateTokenCredential(ctx context.Context, c *call) (any, error) {
	expiry, err := c.tokenExpiry(time.Now())
	if err != nil {
		return nil, err
	}
	id, err := c.child(ctx, "tokens")
	if err != nil {
		return nil, err
	}
	name := ""
	if first, second := c.toggle("password1"), c.toggle("password2"); first != second {
		name = switchOf(first, "password1", "password2")
	}
	return c.generate(ctx, id, name, expiry)
}

// updateToken changes what is given, and nothing else.
func updateToken(ctx context.Context, c *call) (any, error) {
	id, err := c.child(ctx, "tokens")
	if err != nil {
		return nil, err
	}
	properties := document{}
	if name := c.text("scope-map"); name != "" {
		properties["scopeMapId"] = id.Parent().Child("scopeMaps", name).String()
	}
	if status := c.text("status"); status != "" {
		properties["status"] = status
	}
	if len(properties) == 0 {
		return nil, invalidArgument("nothing to change: give --scope-map or --status")
	}
	return c.patchToken(ctx, id, properties)
}

func (c *call) patchToken(ctx context.Context, id arm.ID, properties document) (any, error) {
	var doc document
	if _, err := c.client.Do(ctx, "PATCH", id.String(), registriesVersion, document{"properties": properties}, &doc); err != nil {
		return nil, err
	}
	return shownChild(doc), nil
}

func deleteToken(ctx context.Context, c *call) (any, error) {
	_, err := c.deleteChild(ctx, "tokens", "token")
	return nil, err
}

// deleteTokenCredential tells the server which passwords stay.
func deleteTokenCredential(ctx context.Context, c *call) (any, error) {
	var gone []string
	for _, name := range []string{"password1", "password2"} {
		if c.toggle(name) {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return nil, invalidArgument("give --password1, --password2 or both")
	}
	id, doc, err := c.getToken(ctx)
	if err != nil {
		return nil, err
	}
	stay, have := []document{}, []string{}
	for _, p := range passwordsOf(flatten(doc)) {
		name, _ := p["name"].(string)
		have = append(have, name)
		if !slices.Contains(gone, name) {
			stay = append(stay, document{"name": name})
		}
	}
	for _, name := range gone {
		if !slices.Contains(have, name) {
			return nil, problem.New(problem.NotFound, "TokenPasswordNotFound", "the token '%s' has no %s", id.Name(), name)
		}
	}
	return c.patchToken(ctx, id, document{"credentials": document{"passwords": stay}})
}

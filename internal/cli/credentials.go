package cli

import (
	"context"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// credentials are those of a task, by login server.
func (c *call) credentials(ctx context.Context) (arm.ID, map[string]any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return id, nil, err
	}
	var doc struct {
		Properties struct {
			Credentials struct {
				CustomRegistries map[string]any
			}
		}
	}
	_, err = c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &doc)
	return id, doc.Properties.Credentials.CustomRegistries, err
}

func (c *call) putCredential(ctx context.Context, id arm.ID, server string, credential any) (any, error) {
	body := document{"properties": document{"credentials": document{"customRegistries": document{server: credential}}}}
	var out document
	if _, err := c.client.Do(ctx, "PATCH", id.String(), tasksVersion, body, &out); err != nil {
		return nil, err
	}
	return customRegistries(flatten(out)), nil
}

func customRegistries(task document) any {
	credentials, _ := task["credentials"].(map[string]any) // null without any
	if all, ok := credentials["customRegistries"].(map[string]any); ok {
		return all
	}
	return document{}
}

func addCredential(ctx context.Context, c *call) (any, error) {
	id, have, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	server := c.text("login-server")
	if _, ok := have[server]; ok {
		return nil, problem.New(problem.Conflict, "CredentialExists", "login server '%s' already exists in task '%s'", server, id.Name()).
			Hint("az acr task credential update --name %s --registry %s --login-server %s …", id.Name(), id.Parent().Name(), server)
	}
	return c.setCredential(ctx, id, server)
}

func updateCredential(ctx context.Context, c *call) (any, error) {
	id, have, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	server := c.text("login-server")
	if _, ok := have[server]; !ok {
		return nil, problem.New(problem.NotFound, "CredentialNotFound", "login server '%s' not found in task '%s'", server, id.Name())
	}
	return c.setCredential(ctx, id, server)
}

func (c *call) setCredential(ctx context.Context, id arm.ID, server string) (any, error) {
	user, password, identity := c.text("username"), c.text("password"), c.text("use-identity")
	credential := document{}
	switch {
	case identity != "" && (user != "" || password != ""):
		return nil, invalidArgument("give --use-identity, or --username and --password")
	case identity != "":
		credential["identity"] = identity
	case user != "" && password != "":
		credential["userName"] = document{"type": "Opaque", "value": user}
		credential["password"] = document{"type": "Opaque", "value": password}
	default:
		return nil, invalidArgument("give --use-identity, or --username and --password")
	}
	return c.putCredential(ctx, id, server, credential)
}

func removeCredential(ctx context.Context, c *call) (any, error) {
	id, have, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	server := c.text("login-server")
	if _, ok := have[server]; !ok {
		return nil, problem.New(problem.NotFound, "CredentialNotFound", "login server '%s' not found in task '%s'", server, id.Name())
	}
	return c.putCredential(ctx, id, server, nil)
}

func listCredentials(ctx context.Context, c *call) (any, error) {
	_, have, err := c.credentials(ctx)
	if have == nil {
		have = map[string]any{}
	}
	return have, err
}

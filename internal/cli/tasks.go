package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// taskID is the ID of the task that --registry and --name mean.
func (c *call) taskID(ctx context.Context) (arm.ID, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	return registry.Child("tasks", c.text("name")), err
}

func invalidArgument(format string, args ...any) error {
	return usageError{problem.New(problem.Invalid, "InvalidArgument", format, args...)}
}

// noContext is how a task without a source is written.
const noContext = "/dev/null"

// taskFileExtensions are those by which a file is a task file; others are Dockerfiles.
var taskFileExtensions = strings.Fields(".yaml .yml .toml .json .sh .bash .zsh .ps1 .ps .cmd .bat .ts .js .php .py .rb .lua")

func isTaskFile(name string) bool {
	return slices.Contains(taskFileExtensions, strings.ToLower(filepath.Ext(name)))
}

// encode makes the content of an encoded task: a file, or a task file around a
// command, task-file.md 13.1 and 13.2.
func (c *call) encode() (string, error) {
	const version = "version: v1.1.0\n"
	file, cmd := c.text("file"), c.text("cmd")
	switch {
	case file != "" && cmd != "":
		return "", invalidArgument("give one of --file and --cmd")
	case cmd != "":
		content := version + "steps: \n  - cmd: " + cmd + "\n    disableWorkingDirectoryOverride: true\n"
		if timeout := c.text("timeout"); timeout != "" {
			content += "    timeout: " + timeout + "\n"
		}
		return base64.StdEncoding.EncodeToString([]byte(content)), nil
	case file != "":
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("the task file: %w", err)
		}
		return base64.StdEncoding.EncodeToString(append([]byte(version), content...)), nil
	}
	return "", invalidArgument("give --file or --cmd, or a source with a Dockerfile")
}

// values reads lists of NAME=VALUE, open ones and secret ones.
func (c *call) values(open, hidden string) ([]document, error) {
	all := []document{}
	for _, name := range []string{open, hidden} {
		for _, pair := range c.list(name) {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || key == "" {
				return nil, invalidArgument("--%s %s is not NAME=VALUE", name, pair)
			}
			all = append(all, document{"name": key, "value": value, "isSecret": name == hidden})
		}
	}
	return all, nil
}

func (c *call) platform() document {
	os, arch, _ := strings.Cut(c.text("platform"), "/")
	p := document{"os": os, "architecture": "amd64"}
	if arch != "" {
		p["architecture"] = arch
	}
	return p
}

// step makes the step of a task from the command's flags.
func (c *call) step() (document, error) {
	source := c.text("context")
	values, err := c.values("set", "set-secret")
	if err != nil {
		return nil, err
	}
	if source == "" || source == noContext {
		content, err := c.encode()
		return document{"type": "EncodedTask", "encodedTaskContent": content, "values": values}, err
	}
	if c.text("cmd") != "" {
		return nil, invalidArgument("--cmd goes with --context %s", noContext)
	}
	step := document{"contextPath": source, "values": values}
	if token := c.text("git-access-token"); token != "" {
		step["contextAccessToken"] = token
	}
	if file := c.text("file"); isTaskFile(file) {
		step["type"], step["taskFilePath"] = "FileTask", file
		return step, nil
	}
	arguments, err := c.values("arg", "secret-arg")
	step["type"], step["dockerFilePath"], step["imageNames"], step["arguments"] = "Docker", c.text("file"), c.list("image"), arguments
	step["isPushEnabled"], step["noCache"], step["target"] = !c.toggle("no-push") && len(c.list("image")) > 0, c.toggle("no-cache"), c.text("target")
	return step, err
}

// identity makes the identity block that --assign-identity means.
func (c *call) identity() document {
	if !c.given("assign-identity") {
		return nil
	}
	users, types := document{}, map[string]bool{}
	for _, id := range c.list("assign-identity") {
		if strings.EqualFold(id, "[system]") {
			types["SystemAssigned"] = true
			continue
		}
		users[id] = document{}
		types["UserAssigned"] = true
	}
	if len(types) == 0 {
		types["SystemAssigned"] = true
	}
	block := document{"type": strings.Join(slices.Sorted(maps.Keys(types)), ", ")}
	if len(users) > 0 {
		block["userAssignedIdentities"] = users
	}
	return block
}

// number reads a flag that is a whole number.
func (c *call) number(name string, fallback int) (int, error) {
	text := c.text(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, invalidArgument("--%s %s is not a number", name, text)
	}
	return n, nil
}

func createTask(ctx context.Context, c *call) (any, error) {
	for _, trigger := range []string{"commit-trigger-enabled", "pull-request-trigger-enabled"} {
		if strings.EqualFold(c.text(trigger), "true") {
			return nil, problem.New(problem.Unsupported, "NotImplemented", "--%s: source triggers are not available in this version of Acrux", trigger)
		}
	}
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	properties, err := c.taskProperties()
	if err != nil {
		return nil, err
	}
	registry, err := c.getRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	body := document{"location": registry["location"], "properties": properties}
	if block := c.identity(); block != nil {
		body["identity"] = block
	}
	var out document
	_, err = c.client.Do(ctx, "PUT", id.String(), tasksVersion, body, &out)
	return flatten(out), err
}

func (c *call) taskProperties() (document, error) {
	step, err := c.step()
	if err != nil {
		return nil, err
	}
	timeout, err := c.number("timeout", 3600)
	if err != nil {
		return nil, err
	}
	cpu, err := c.number("cpu", 2)
	if err != nil {
		return nil, err
	}
	properties := document{"status": c.text("status"), "platform": c.platform(), "agentConfiguration": document{"cpu": cpu}, "timeout": timeout, "step": step,
		"credentials": document{}, "isSystemTask": false}
	if strings.EqualFold(c.text("base-image-trigger-enabled"), "true") {
		properties["trigger"] = document{"baseImageTrigger": document{"baseImageTriggerType": c.text("base-image-trigger-type"),
			"updateTriggerPayloadType": "Default", "status": "Enabled", "name": "defaultBaseimageTriggerName"}}
	}
	if mode := c.text("auth-mode"); mode != "" {
		properties["credentials"] = document{"sourceRegistry": document{"loginMode": mode}}
	}
	return properties, nil
}

func showTask(ctx context.Context, c *call) (any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	var out document
	if c.toggle("with-secure-properties") {
		_, err = c.client.Do(ctx, "POST", id.String()+"/listDetails", tasksVersion, nil, &out)
	} else {
		_, err = c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &out)
	}
	return flatten(out), err
}

func listTasks(ctx context.Context, c *call) (any, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	all, err := c.listAll(ctx, registry.String()+"/tasks", tasksVersion)
	return flattenAll(all), err
}

func deleteTask(ctx context.Context, c *call) (any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.confirm("This deletes the task '" + id.Name() + "'."); err != nil {
		return nil, err
	}
	res, err := c.client.Do(ctx, "DELETE", id.String(), tasksVersion, nil, nil)
	if err == nil && res.Status == 204 {
		err = problem.New(problem.NotFound, "ResourceNotFound", "the task '%s' was not found in registry '%s'", id.Name(), id.Parent().Name())
	}
	return nil, err
}

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

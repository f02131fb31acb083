package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/taskfile"
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
		content, err := c.readFile(file)
		if err != nil {
			return "", fmt.Errorf("the task file: %w", err)
		}
		return base64.StdEncoding.EncodeToString(taskfile.Sent(content)), nil
	}
	return "", invalidArgument("give --file or --cmd, or a source with a Dockerfile")
}

// maxInput bounds what is read from the standard input, in bytes.
const maxInput = 10 << 20

// readFile reads a file, or for "-" the standard input.
func (e *environment) readFile(name string) ([]byte, error) {
	if name == "-" {
		defer e.signals.whileReading(nil)()
		return io.ReadAll(io.LimitReader(e.stdin, maxInput))
	}
	return os.ReadFile(name)
}

// encodedValues is the content of --values for steps that are sent along.
func (c *call) encodedValues() (string, error) {
	file := c.text("values")
	if file == "" {
		return "", nil
	}
	content, err := c.readFile(file)
	if err != nil {
		return "", fmt.Errorf("the values file: %w", err)
	}
	return base64.StdEncoding.EncodeToString(content), nil
}

// values reads lists of NAME[=VALUE], open ones and secret ones. As with the stock client a
// build argument without a value has that of the environment; all else has the empty one.
func (c *call) values(open, hidden string) ([]document, error) {
	all := []document{}
	for _, name := range []string{open, hidden} {
		for _, pair := range c.list(name) {
			key, value, ok := strings.Cut(pair, "=")
			switch {
			case key == "":
				return nil, invalidArgument("--%s %s is not NAME[=VALUE]", name, pair)
			case !ok && strings.HasSuffix(name, "arg"):
				value = c.getenv(key)
			}
			all = append(all, document{"name": key, "value": value, "isSecret": name == hidden})
		}
	}
	return all, nil
}

// platform reads OS[/ARCHITECTURE[/VARIANT]].
func (c *call) platform() document {
	os, arch, _ := strings.Cut(c.text("platform"), "/")
	arch, variant, _ := strings.Cut(arch, "/")
	p := document{"os": os, "architecture": "amd64"}
	if arch != "" {
		p["architecture"] = arch
	}
	if variant != "" {
		p["variant"] = variant
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
		return c.encodedStep(values)
	}
	if c.text("cmd") != "" {
		return nil, invalidArgument("--cmd goes with --context %s", noContext)
	}
	if !isRemote(source) {
		return nil, folderAsSource(source)
	}
	step := document{"contextPath": source, "values": values}
	if token := c.text("git-access-token"); token != "" {
		step["contextAccessToken"] = token
	}
	if file := c.text("file"); isTaskFile(file) {
		step["type"], step["taskFilePath"], step["valuesFilePath"] = "FileTask", file, c.text("values")
		return step, nil
	}
	arguments, err := c.values("arg", "secret-arg")
	if err != nil {
		return nil, err
	}
	images, err := c.images("")
	step["type"], step["dockerFilePath"], step["imageNames"], step["arguments"] = "Docker", c.text("file"), images, arguments
	step["isPushEnabled"], step["noCache"], step["target"] = !c.yes("no-push") && len(images) > 0, c.yes("no-cache"), c.text("target")
	return step, err
}

// folderAsSource refuses a source that no run of a task could fetch: runs are made when nobody
// is there who has it.
func folderAsSource(source string) error {
	return usageError{problem.New(problem.Invalid, "InvalidSourceLocation",
		"--context %s is not the URL of a git repository or an archive, which a task needs; a folder is built, or run, once", source).
		Hint("az acr build --registry REGISTRY --image NAME:TAG %s", source).Hint("az acr run --registry REGISTRY --file FILE %s", source)}
}

// encodedStep is a step whose task file and values are sent along.
func (c *call) encodedStep(values []document) (document, error) {
	content, err := c.encode()
	if err != nil {
		return nil, err
	}
	file, err := c.encodedValues()
	return document{"type": "EncodedTask", "encodedTaskContent": content, "encodedValuesContent": file, "values": values}, err
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
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	properties, err := c.taskProperties()
	if err != nil {
		return nil, err
	}
	if step, _ := properties["step"].(document); step != nil {
		if err := c.lintStep(ctx, c.text("file"), "", step, true); err != nil {
			return nil, err
		}
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
		"credentials": document{}, "isSystemTask": c.yes("is-system-task"), "trigger": c.newTriggers()}
	for member, name := range map[string]string{"agentPoolName": "agent-pool", "logTemplate": "log-template"} {
		if text := c.text(name); text != "" {
			properties[member] = text
		}
	}
	if mode := c.text("auth-mode"); mode != "" {
		properties["credentials"] = document{"sourceRegistry": document{"loginMode": mode}}
	}
	return properties, nil
}

// newTriggers are those of a new task.
func (c *call) newTriggers() document {
	triggers := document{}
	if c.yes("base-image-trigger-enabled") {
		triggers["baseImageTrigger"] = document{"baseImageTriggerType": c.text("base-image-trigger-type"),
			"updateTriggerPayloadType": "Default", "status": "Enabled", "name": c.text("base-image-trigger-name")}
	}
	if timers := newTimers(c.list("schedule")); len(timers) > 0 {
		triggers["timerTriggers"] = timers
	}
	if events := c.newSourceEvents(); len(events) > 0 {
		triggers["sourceTriggers"] = []document{c.sourceTrigger(document{"name": defaultSource, "sourceTriggerEvents": events, "status": "Enabled"}, c.text("context"))}
	}
	return triggers
}

// newTimers are those of --schedule: EXPRESSION or NAME:EXPRESSION, each.
func newTimers(schedules []string) (timers []document) {
	for i, schedule := range schedules {
		name, expression, named := strings.Cut(schedule, ":")
		if !named {
			name, expression = fmt.Sprintf("t%d", i+1), schedule
		}
		timers = append(timers, document{"name": strings.TrimSpace(name), "schedule": expression, "status": "Enabled"})
	}
	return timers
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
	if err != nil {
		return nil, err
	}
	shown := flatten(out)
	shown["next"], err = c.waitsFor(ctx, id)
	return shown, err
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

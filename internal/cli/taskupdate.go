package cli

import (
	"context"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// patchTask changes a task and shows it.
func (c *call) patchTask(ctx context.Context, id arm.ID, body document) (document, error) {
	var out document
	_, err := c.client.Do(ctx, "PATCH", id.String(), tasksVersion, body, &out)
	return flatten(out), err
}

// updateTask changes what flags were given for, and nothing else.
func updateTask(ctx context.Context, c *call) (any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	properties, err := c.changedProperties()
	if err != nil {
		return nil, err
	}
	step, err := c.changedStep(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(step) > 0 {
		if err := c.lintStep(ctx, c.text("file"), "", step, true); err != nil {
			return nil, err
		}
		properties["step"] = step
	}
	source, err := c.changedSource(ctx, id)
	if err != nil {
		return nil, err
	}
	if source != nil {
		triggers, _ := properties["trigger"].(document)
		if triggers == nil {
			triggers = document{}
			properties["trigger"] = triggers
		}
		triggers["sourceTriggers"] = []document{source}
	}
	return c.patchTask(ctx, id, document{"properties": properties})
}

func (c *call) changedProperties() (document, error) {
	p := document{}
	for member, name := range map[string]string{"status": "status", "agentPoolName": "agent-pool", "logTemplate": "log-template"} {
		if c.given(name) {
			p[member] = c.text(name)
		}
	}
	if c.given("platform") {
		p["platform"] = c.platform()
	}
	if c.given("auth-mode") {
		p["credentials"] = document{"sourceRegistry": document{"loginMode": c.text("auth-mode")}}
	}
	for _, name := range []string{"timeout", "cpu"} {
		n, err := c.number(name, 0)
		switch {
		case err != nil:
			return nil, err
		case c.given(name) && name == "cpu":
			p["agentConfiguration"] = document{"cpu": n}
		case c.given(name):
			p["timeout"] = n
		}
	}
	if base := c.changedBaseTrigger(); len(base) > 0 {
		p["trigger"] = document{"baseImageTrigger": base}
	}
	return p, nil
}

func (c *call) changedBaseTrigger() document {
	base := document{}
	if c.given("base-image-trigger-enabled") {
		base["status"] = switchOf(c.yes("base-image-trigger-enabled"), "Enabled", "Disabled")
	}
	for member, name := range map[string]string{"baseImageTriggerType": "base-image-trigger-type", "updateTriggerEndpoint": "update-trigger-endpoint", "updateTriggerPayloadType": "update-trigger-payload-type"} {
		if c.given(name) {
			base[member] = c.text(name)
		}
	}
	if len(base) > 0 {
		base["name"] = "defaultBaseimageTriggerName"
	}
	return base
}

// changedStep is what the flags change of the step. A command, or a task file for a task
// without a source, makes another step of it; a step whose type changes is whole.
func (c *call) changedStep(ctx context.Context, id arm.ID) (document, error) {
	if !c.givenAny("context", "file", "cmd", "image", "no-push", "no-cache", "arg", "secret-arg", "set", "set-secret", "target", "values", "git-access-token") {
		return nil, nil
	}
	var doc struct {
		Properties struct {
			Step struct{ Type, ContextPath string }
		}
	}
	if _, err := c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &doc); err != nil {
		return nil, err
	}
	if _, err := c.images(""); err != nil {
		return nil, err
	}
	kind, have := doc.Properties.Step.Type, doc.Properties.Step.ContextPath
	file := c.text("file")
	switch {
	case c.given("context"):
		return c.step()
	case c.text("cmd") != "" || file != "" && (have == "" || have == noContext):
		return c.encodedChange()
	case kind == "Docker" && isTaskFile(file), kind == "FileTask" && file != "" && !isTaskFile(file):
		return nil, invalidArgument("--file %s makes another kind of step of it: give --context as well", file)
	}
	return c.stepMembers(kind)
}

// encodedChange is an encoded step anew; its values stay unless they are given.
func (c *call) encodedChange() (document, error) {
	values, err := c.values("set", "set-secret")
	if err != nil {
		return nil, err
	}
	step, err := c.encodedStep(values)
	if len(values) == 0 {
		delete(step, "values")
	}
	if !c.given("values") {
		delete(step, "encodedValuesContent")
	}
	return step, err
}

func (c *call) givenAny(names ...string) bool {
	for _, name := range names {
		if c.given(name) {
			return true
		}
	}
	return false
}

// stepMembers are those members of a step of a kind that were given.
func (c *call) stepMembers(kind string) (document, error) {
	step := document{"type": kind}
	set := func(flag, member string, value any) {
		if c.given(flag) {
			step[member] = value
		}
	}
	set("git-access-token", "contextAccessToken", c.text("git-access-token"))
	if kind == "Docker" {
		set("file", "dockerFilePath", c.text("file"))
		set("image", "imageNames", c.list("image"))
		set("no-push", "isPushEnabled", !c.yes("no-push"))
		set("no-cache", "noCache", c.yes("no-cache"))
		set("target", "target", c.text("target"))
		arguments, err := c.values("arg", "secret-arg")
		if len(arguments) > 0 {
			step["arguments"] = arguments
		}
		return step, err
	}
	set("file", "taskFilePath", c.text("file"))
	if kind == "FileTask" {
		set("values", "valuesFilePath", c.text("values"))
	} else if content, err := c.encodedValues(); err != nil {
		return nil, err
	} else {
		set("values", "encodedValuesContent", content)
	}
	values, err := c.values("set", "set-secret")
	if len(values) > 0 {
		step["values"] = values
	}
	return step, err
}

// taskIdentity changes the identities of a task and shows the task.
func (c *call) taskIdentity(ctx context.Context, change func(old *identityBlock, group string) (document, error)) (any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	old, err := c.identityAt(ctx, id)
	if err != nil {
		return nil, err
	}
	block, err := change(old, id.Group)
	if err != nil {
		return nil, err
	}
	return c.patchTask(ctx, id, document{"identity": block})
}

func (c *call) identityAt(ctx context.Context, id arm.ID) (*identityBlock, error) {
	var doc struct{ Identity *identityBlock }
	_, err := c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &doc)
	return doc.Identity, err
}

func assignTaskIdentity(ctx context.Context, c *call) (any, error) {
	return c.taskIdentity(ctx, func(old *identityBlock, group string) (document, error) { return c.assigned(old, group), nil })
}

func removeTaskIdentity(ctx context.Context, c *call) (any, error) {
	return c.taskIdentity(ctx, c.removed)
}

func showTaskIdentity(ctx context.Context, c *call) (any, error) {
	doc, err := showTask(ctx, c)
	if task, ok := doc.(document); ok && task["identity"] != nil {
		return task["identity"], err
	}
	return document{}, err
}

// timers are the timer triggers of a task.
func (c *call) timers(ctx context.Context) (arm.ID, []document, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return id, nil, err
	}
	var doc struct {
		Properties struct {
			Trigger *struct{ TimerTriggers []document }
		}
	}
	if _, err = c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &doc); err != nil || doc.Properties.Trigger == nil {
		return id, nil, err
	}
	return id, doc.Properties.Trigger.TimerTriggers, nil
}

func listTimers(ctx context.Context, c *call) (any, error) {
	_, all, err := c.timers(ctx)
	if all == nil {
		all = []document{}
	}
	return all, err
}

func addTimer(ctx context.Context, c *call) (any, error)    { return c.putTimer(ctx, false) }
func updateTimer(ctx context.Context, c *call) (any, error) { return c.putTimer(ctx, true) }

// putTimer writes a timer, which must be there already or must not.
func (c *call) putTimer(ctx context.Context, exists bool) (any, error) {
	id, all, err := c.timers(ctx)
	if err != nil {
		return nil, err
	}
	name := c.text("timer-name")
	switch there := hasTimer(all, name); {
	case there && !exists:
		return nil, problem.New(problem.Conflict, "TimerExists", "the task '%s' has a timer '%s' already", id.Name(), name).
			Hint("az acr task timer update --name %s --registry %s --timer-name %s …", id.Name(), id.Parent().Name(), name)
	case !there && exists:
		return nil, noTimer(id, name)
	}
	timer := document{"name": name}
	if c.given("schedule") {
		timer["schedule"] = c.text("schedule")
	}
	if c.given("enabled") || !exists {
		timer["status"] = switchOf(c.yes("enabled"), "Enabled", "Disabled")
	}
	return c.patchTask(ctx, id, document{"properties": document{"trigger": document{"timerTriggers": []document{timer}}}})
}

func hasTimer(all []document, name string) bool {
	for _, t := range all {
		if have, _ := t["name"].(string); strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

func noTimer(id arm.ID, name string) error {
	return problem.New(problem.NotFound, "TimerNotFound", "the task '%s' has no timer '%s'", id.Name(), name)
}

// removeTimer writes the task as it is with its secrets, without the timer: a PATCH can
// only add to timers.
func removeTimer(ctx context.Context, c *call) (any, error) {
	id, all, err := c.timers(ctx)
	if err != nil {
		return nil, err
	}
	name := c.text("timer-name")
	if !hasTimer(all, name) {
		return nil, noTimer(id, name)
	}
	var task struct {
		Location   string            `json:"location"`
		Tags       map[string]string `json:"tags,omitempty"`
		Properties document          `json:"properties"`
	}
	res, err := c.client.Do(ctx, "POST", id.String()+"/listDetails", tasksVersion, nil, &task)
	if err != nil {
		return nil, err
	}
	trigger, _ := task.Properties["trigger"].(map[string]any) // it has the timer
	left := []any{}
	for _, t := range trigger["timerTriggers"].([]any) {
		if timer, _ := t.(map[string]any); !hasTimer([]document{timer}, name) {
			left = append(left, t)
		}
	}
	trigger["timerTriggers"] = left
	var out document
	_, err = c.client.DoIf(ctx, "PUT", id.String(), tasksVersion, res.Header.Get("ETag"), task, &out)
	return flatten(out), err
}

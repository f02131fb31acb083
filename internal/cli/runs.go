package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/oci"
)

// runTask runs a task and shows its log.
func runTask(ctx context.Context, c *call) (any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	override := document{}
	for member, name := range map[string]string{"contextPath": "context", "file": "file", "target": "target"} {
		if text := c.text(name); text != "" {
			override[member] = text
		}
	}
	for member, names := range map[string][2]string{"values": {"set", "set-secret"}, "arguments": {"arg", "secret-arg"}} {
		list, err := c.values(names[0], names[1])
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			override[member] = list
		}
	}
	if source := c.text("context"); source != "" && source != noContext && !isRemote(source) {
		needed, err := c.neededByTask(ctx, id, source, override)
		if err != nil {
			return nil, err
		}
		if override["contextPath"], err = c.sourceOf(ctx, id.Parent(), source, needed); err != nil {
			return nil, err
		}
	}
	body := document{"type": "TaskRunRequest", "taskId": id.String(), "overrideTaskStepProperties": override, "isArchiveEnabled": false}
	c.addAgent(body)
	return c.schedule(ctx, id.Parent(), body)
}

// addAgent adds to a request what it says about agents, logs and the own registry.
func (c *call) addAgent(body document) {
	for member, name := range map[string]string{"agentPoolName": "agent-pool", "logTemplate": "log-template"} {
		if text := c.text(name); text != "" {
			body[member] = text
		}
	}
	if mode := c.text("auth-mode"); mode != "" {
		body["credentials"] = document{"sourceRegistry": document{"loginMode": mode}}
	}
}

// runOnce runs a task file or a command without a task.
func runOnce(ctx context.Context, c *call) (any, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	source := noContext
	if len(c.args) == 1 {
		source = c.args[0]
	}
	values, err := c.values("set", "set-secret")
	if err != nil {
		return nil, err
	}
	timeout, err := c.number("timeout", 3600)
	if err != nil {
		return nil, err
	}
	body := document{"values": values, "timeout": timeout, "platform": c.platform(), "agentConfiguration": document{"cpu": 2}, "isArchiveEnabled": false}
	c.addAgent(body)
	if source == noContext || c.text("cmd") != "" || c.text("file") == "-" {
		step, err := c.encodedStep(values)
		if err != nil {
			return nil, err
		}
		body["type"], body["encodedTaskContent"], body["encodedValuesContent"] = "EncodedTaskRunRequest", step["encodedTaskContent"], step["encodedValuesContent"]
	} else {
		body["type"], body["taskFilePath"], body["valuesFilePath"] = "FileTaskRunRequest", c.text("file"), c.text("values")
		if c.text("file") == "" {
			body["taskFilePath"] = defaultTaskFile
		}
	}
	if err := c.lintStep(ctx, cmp.Or(c.text("file"), defaultTaskFile), source, body, false); err != nil {
		return nil, err
	}
	if source != noContext {
		location, err := c.sourceOf(ctx, registry, source, neededBy(ctx, source, body, documentValues(values)))
		if err != nil {
			return nil, err
		}
		body["sourceLocation"] = location
	}
	return c.schedule(ctx, registry, body)
}

// sourceOf names a source in a request: a folder is uploaded, with the files that are needed
// whatever is ignored.
func (c *call) sourceOf(ctx context.Context, registry arm.ID, source string, needed []string) (location string, err error) {
	if isRemote(source) {
		return source, nil
	}
	location, _, err = c.upload(ctx, registry, source, client.PackOptions{Keep: needed})
	return location, err
}

// schedule queues a run and, unless told otherwise, stays with it to its end. Of a run that is
// not waited for the document is the output: scripts take the run's ID from it.
func (c *call) schedule(ctx context.Context, registry arm.ID, body document) (any, error) {
	var run document
	c.signals.goesOn("Canceled: the run may be queued all the same; see az acr task list-runs --registry %s", registry.Name())
	if _, err := c.client.Do(ctx, "POST", registry.String()+"/scheduleRun", tasksVersion, body, &run); err != nil {
		return nil, err
	}
	id, _ := run["name"].(string) // every run has one
	what := "run"
	if body["type"] == "DockerBuildRequest" {
		what = "build"
	}
	c.warn("Queued a %s with ID: %s", what, id)
	c.signals.goesOn("%s", runGoesOn(registry.Child("runs", id)))
	if !c.toggle("no-wait") {
		c.warn("Waiting for an agent...")
	}
	run = flatten(run)
	waiting := c.waiting(run, "")
	switch {
	case c.toggle("no-wait"):
		return run, nil
	case c.toggle("no-logs"):
		return c.waitForRun(ctx, registry.Child("runs", id), waiting)
	}
	return nil, c.follow(ctx, registry.Child("runs", id), waiting)
}

func (c *call) runID(ctx context.Context) (arm.ID, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	return registry.Child("runs", c.text("run-id")), err
}

// showLogs shows the log of a run, or of the newest one; it tells nothing about how
// the run ended.
func showLogs(ctx context.Context, c *call) (any, error) {
	id, err := c.runID(ctx)
	if err != nil {
		return nil, err
	}
	if c.text("run-id") == "" {
		newest, err := c.runs(ctx, id.Parent(), "1")
		if err != nil {
			return nil, err
		}
		if len(newest) == 0 {
			return nil, problem.New(problem.NotFound, "RunNotFound", "there is no run yet")
		}
		name, _ := newest[0]["name"].(string) // every run has one
		id = id.Parent().Child("runs", name)
		c.warn("Showing logs of the last created run.")
		c.warn("Run ID: %s", name)
	}
	c.signals.goesOn("%s", runGoesOn(id))
	_, err = c.showLog(ctx, id)
	return nil, err
}

// runs lists runs, with the words of the table's columns.
func (c *call) runs(ctx context.Context, registry arm.ID, top string) ([]document, error) {
	var filters []string
	if task := c.text("name"); task != "" {
		filters = append(filters, "TaskName eq '"+task+"'")
	}
	if status := c.text("run-status"); status != "" {
		filters = append(filters, "Status eq '"+status+"'")
	}
	if c.text("image") != "" {
		filter, err := c.outputFilter(ctx, registry)
		if err != nil {
			return nil, err
		}
		filters = append(filters, filter)
	}
	query := url.Values{}
	if len(filters) > 0 {
		query.Set("$filter", strings.Join(filters, " and "))
	}
	if top != "" {
		query.Set("$top", top)
	}
	all, err := c.listAll(ctx, registry.String()+"/runs?"+query.Encode(), tasksVersion)
	if err == nil && len(all) == 0 && c.text("name") != "" {
		err = c.missingTask(ctx, registry)
	}
	return flattenAll(all), err
}

// missingTask is an error if there are no runs of a task because there is no such task.
func (c *call) missingTask(ctx context.Context, registry arm.ID) error {
	_, err := c.client.Do(ctx, "GET", registry.Child("tasks", c.text("name")).String(), tasksVersion, nil, nil)
	var p *problem.Error
	if errors.As(err, &p) && p.Kind == problem.NotFound {
		return err
	}
	return nil // what else is wrong is not what was asked for
}

// outputFilter selects runs by the image that they have pushed, whatever its tags are now.
func (c *call) outputFilter(ctx context.Context, registry arm.ID) (string, error) {
	ref, err := oci.ParseName(c.text("image"))
	if err != nil {
		return "", usageError{err}
	}
	h, err := c.host(ctx, registry.Name())
	if err != nil {
		return "", err
	}
	digest, err := h.digest(ctx, ref, oci.MetadataRead)
	return "contains(OutputImageManifests, '" + ref.Repository + "@" + digest + "')", err
}

func listRuns(ctx context.Context, c *call) (any, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	return c.runs(ctx, registry, c.text("top"))
}

// maxError is how much of why a run failed stands in a table, in characters.
const maxError = 100

func shortened(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if letters := []rune(text); len(letters) > maxError {
		return string(letters[:maxError-1]) + "…"
	}
	return text
}

// addRunColumns adds what the table of runs shows and the resource does not have.
func addRunColumns(run document) {
	if why, _ := run["runErrorMessage"].(string); why != "" {
		run["error"] = shortened(why)
	}
	started, errStart := time.Parse(time.RFC3339Nano, fmt.Sprint(run["startTime"]))
	finished, errEnd := time.Parse(time.RFC3339Nano, fmt.Sprint(run["finishTime"]))
	if errStart == nil && errEnd == nil {
		d := finished.Sub(started).Round(time.Second)
		run["duration"] = fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
	}
}

func showRun(ctx context.Context, c *call) (any, error) {
	id, err := c.runID(ctx)
	if err != nil {
		return nil, err
	}
	run, err := c.getRun(ctx, id)
	return run, err
}

// updateRun changes whether a run is kept for good.
func updateRun(ctx context.Context, c *call) (any, error) {
	id, err := c.runID(ctx)
	if err != nil {
		return nil, err
	}
	body := document{}
	if c.given("no-archive") {
		body["isArchiveEnabled"] = !c.yes("no-archive")
	}
	var out document
	_, err = c.client.Do(ctx, "PATCH", id.String(), tasksVersion, body, &out)
	return flatten(out), err
}

// cancelWait is how long a client waits for an agent to stop a run.
const cancelWait = 20 * time.Second

// cancelRun ends a run, and says how it ended: that it was over already is no error.
func cancelRun(ctx context.Context, c *call) (any, error) {
	id, err := c.runID(ctx)
	if err != nil {
		return nil, err
	}
	// Who may cancel and not read does so without being told more.
	if run, err := c.getRun(ctx, id); err == nil && isOver(run) {
		c.warn("Run %s was over already: %v.", id.Name(), run["status"])
		return nil, nil
	}
	if _, err = c.client.Do(ctx, "POST", id.String()+"/cancel", tasksVersion, nil, nil); err != nil {
		return nil, err
	}
	c.signals.goesOn("Run %s shall end all the same; see it with: az acr task show-run --registry %s --run-id %s",
		id.Name(), id.Parent().Name(), id.Name())
	for waited := time.Duration(0); waited < cancelWait; waited += waitEvery {
		run, err := c.getRun(ctx, id)
		switch {
		case err != nil:
			c.warn("Run %s shall end; whether it has cannot be seen: %v", id.Name(), err)
			return nil, nil
		case run["status"] == "Canceled":
			c.warn("Run %s is canceled.", id.Name())
			return nil, nil
		case isOver(run):
			c.warn("Run %s was over before it could be canceled: %v.", id.Name(), run["status"])
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(waitEvery):
		}
	}
	c.warn("Run %s shall end; its agent has not stopped it yet: az acr task show-run --registry %s --run-id %s",
		id.Name(), id.Parent().Name(), id.Name())
	return nil, nil
}

// isOver reports whether a run has ended, in whatever way.
func isOver(run document) bool {
	switch run["status"] {
	case "Queued", "Started", "Running":
		return false
	}
	return true
}

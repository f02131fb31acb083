package cli

import (
	"context"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// child is the ID of a resource of the registry that --registry names.
func (c *call) child(ctx context.Context, kind string) (arm.ID, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	return registry.Child(kind, c.text("name")), err
}

// showChild shows a resource of a registry.
func (c *call) showChild(ctx context.Context, kind string) (document, error) {
	id, err := c.child(ctx, kind)
	if err != nil {
		return nil, err
	}
	var out document
	_, err = c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &out)
	return flatten(out), err
}

func (c *call) listChildren(ctx context.Context, kind string) ([]document, error) {
	registry, err := c.findRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	all, err := c.listAll(ctx, registry.String()+"/"+kind, tasksVersion)
	return flattenAll(all), err
}

// deleteChild deletes a resource of a registry, which must be there.
func (c *call) deleteChild(ctx context.Context, kind, what string) (arm.ID, error) {
	id, err := c.child(ctx, kind)
	if err != nil {
		return id, err
	}
	if err := c.confirm("This deletes the " + what + " '" + id.Name() + "'."); err != nil {
		return id, err
	}
	res, err := c.client.Do(ctx, "DELETE", id.String(), tasksVersion, nil, nil)
	if err == nil && res.Status == 204 {
		err = problem.New(problem.NotFound, "ResourceNotFound", "the %s '%s' was not found in registry '%s'", what, id.Name(), id.Parent().Name())
	}
	return id, err
}

func createPool(ctx context.Context, c *call) (any, error) {
	id, err := c.child(ctx, "agentPools")
	if err != nil {
		return nil, err
	}
	count, err := c.number("count", 1)
	if err != nil {
		return nil, err
	}
	registry, err := c.getRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	properties := document{"count": count, "tier": c.text("tier"), "os": "Linux"}
	if subnet := c.text("subnet-id"); subnet != "" {
		properties["virtualNetworkSubnetResourceId"] = subnet
	}
	var out document
	_, err = c.client.Do(ctx, "PUT", id.String(), tasksVersion, document{"location": registry["location"], "properties": properties}, &out)
	return c.unlessNoWait(out), err
}

// unlessNoWait is the output of a command that may be told not to wait: then there is none, as
// with the stock client.
func (c *call) unlessNoWait(doc document) any {
	if c.toggle("no-wait") {
		return nil
	}
	return flatten(doc)
}

func updatePool(ctx context.Context, c *call) (any, error) {
	id, err := c.child(ctx, "agentPools")
	if err != nil {
		return nil, err
	}
	count, err := c.number("count", 0)
	if err != nil {
		return nil, err
	}
	properties := document{}
	if c.given("count") {
		properties["count"] = count
	}
	var out document
	_, err = c.client.Do(ctx, "PATCH", id.String(), tasksVersion, document{"properties": properties}, &out)
	return c.unlessNoWait(out), err
}

func listPools(ctx context.Context, c *call) (any, error) { return c.listChildren(ctx, "agentPools") }

// showPool shows a pool, or only how many runs wait for it.
func showPool(ctx context.Context, c *call) (any, error) {
	if !c.toggle("queue-count") {
		return c.showChild(ctx, "agentPools")
	}
	id, err := c.child(ctx, "agentPools")
	if err != nil {
		return nil, err
	}
	var out document
	_, err = c.client.Do(ctx, "POST", id.String()+"/listQueueStatus", tasksVersion, nil, &out)
	return out["count"], err
}

// deletePool deletes a pool and waits until it is gone.
func deletePool(ctx context.Context, c *call) (any, error) {
	id, err := c.deleteChild(ctx, "agentPools", "agent pool")
	if err == nil && c.toggle("no-wait") {
		c.warn("The agent pool '%s' is being deleted.", id.Name())
	}
	for err == nil && !c.toggle("no-wait") {
		if _, err = c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, nil); problem.Is(err, problem.NotFound) {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(waitEvery):
		}
	}
	return nil, err
}

func listTaskRuns(ctx context.Context, c *call) (any, error) {
	all, err := c.listChildren(ctx, "taskRuns")
	for _, doc := range all {
		flattenResult(doc)
	}
	return all, err
}

func showTaskRun(ctx context.Context, c *call) (any, error) {
	doc, err := c.showChild(ctx, "taskRuns")
	flattenResult(doc)
	return doc, err
}

// flattenResult shows the run of a task run as runs are shown.
func flattenResult(doc document) {
	if run, ok := doc["runResult"].(document); ok {
		doc["runResult"] = flatten(run)
	}
}

func deleteTaskRun(ctx context.Context, c *call) (any, error) {
	_, err := c.deleteChild(ctx, "taskRuns", "task run")
	return nil, err
}

// showTaskRunLogs shows the log of a task run's run.
func showTaskRunLogs(ctx context.Context, c *call) (any, error) {
	doc, err := c.showChild(ctx, "taskRuns")
	if err != nil {
		return nil, err
	}
	result, _ := doc["runResult"].(map[string]any)
	text, _ := result["id"].(string)
	id, err := arm.ParseID(text)
	if err != nil || text == "" {
		return nil, problem.New(problem.NotFound, "RunNotFound", "the task run '%s' has no run", c.text("name"))
	}
	_, err = c.showLog(ctx, id)
	return nil, err
}

package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

var triggerTable = &table{columns: columns{{"TIME", "time"}, {"TYPE", "triggerType"}, {"TRIGGER", "trigger"},
	{"OUTCOME", "outcome"}, {"OBJECT", "object"}}}

// triggerLog lists what the triggers of a task saw. The outcome is the run, or why there is
// none.
func triggerLog(ctx context.Context, c *call) (any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	top, err := c.top()
	if err != nil {
		return nil, err
	}
	all, err := c.listAll(ctx, id.String()+"/triggerEvents", tasksVersion)
	if err != nil {
		return nil, err
	}
	if top > 0 && len(all) > top {
		all = all[:top]
	}
	entries := flattenAll(all)
	for _, e := range entries {
		e["outcome"] = cmp.Or(textOf(e, "runId"), textOf(e, "reason"))
		if times, _ := e["times"].(float64); times > 1 {
			e["outcome"] = fmt.Sprintf("%s (%v times)", e["outcome"], times)
		}
	}
	return entries, nil
}

// waitsFor says in words what the triggers of a task wait for: "t1 at 2026-12-05T02:00:00Z". Who
// may read the task and not that reads nothing.
func (c *call) waitsFor(ctx context.Context, id arm.ID) (string, error) {
	all, err := c.listAll(ctx, id.String()+"/triggerPlans", tasksVersion)
	if problem.Is(err, problem.Denied) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var words []string
	for _, p := range flattenAll(all) {
		words = append(words, waitWords(p))
	}
	return strings.Join(words, "; "), nil
}

func waitWords(p document) string {
	what, at := textOf(p, "trigger"), textOf(p, "time")
	if image := textOf(p, "object"); textOf(p, "triggerType") == "BaseImage" && image != "" {
		what = image
	}
	switch reason := textOf(p, "reason"); {
	case reason != "":
		return what + ": " + reason
	case at != "":
		return what + " at " + at
	}
	return what + " when it is pushed"
}

func textOf(d document, name string) string {
	value, _ := d[name].(string) // absent if it is empty
	return value
}

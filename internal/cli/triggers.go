package cli

import (
	"cmp"
	"context"
	"fmt"
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

func textOf(d document, name string) string {
	value, _ := d[name].(string) // absent if it is empty
	return value
}

package armapi

import (
	"context"
	"strconv"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/task"
)

// triggerEvents are what the triggers of a task saw: an addition of ours, to be listed only.
var triggerEvents = arm.NewKind(task.Kind.String() + "/triggerEvents")

// triggerEvent is an entry of a task's trigger log on the wire.
type triggerEvent struct {
	Time    string `json:"time"`
	Type    string `json:"triggerType"` // Timer, BaseImage, Source
	Trigger string `json:"trigger"`     // its name
	Object  string `json:"object"`      // the planned minute; image and digests; delivery and commit
	RunID   string `json:"runId,omitempty"`
	Reason  string `json:"reason,omitempty"` // why there was no run
	Times   int    `json:"times"`            // how often the same was seen
}

// triggerLog lists the newest first.
func (h handlers) triggerLog(ctx context.Context, c *Call, q resource.Query) (part, error) {
	if c.ID.Kind().Key() != task.Kind.Key() {
		return part{}, notRouted(c.ID.String() + "/triggerEvents")
	}
	var before int64
	if q.After != "" {
		var err error
		if before, err = strconv.ParseInt(q.After, 10, 64); err != nil || before < 1 {
			return part{}, badSkipToken(c.skipToken())
		}
	}
	all, err := h.Triggers.LogOf(ctx, c.ID, before, q.N)
	if err != nil {
		return part{}, err
	}
	var found part
	for _, e := range all {
		found.values = append(found.values, arm.Resource[triggerEvent]{ID: c.ID.Child("triggerEvents", strconv.FormatInt(e.ID, 10)),
			Properties: triggerEvent{Time: arm.Time(e.Time), Type: string(e.Kind), Trigger: e.Trigger, Object: e.Object,
				RunID: e.Run, Reason: e.Reason, Times: e.Times}})
	}
	if len(all) == q.N && q.N > 0 {
		found.next = strconv.FormatInt(all[len(all)-1].ID, 10)
	}
	return found, nil
}

// sourceHook is where a git host sends its deliveries for a source trigger, and what it signs
// them with.
type sourceHook struct {
	Trigger    string `json:"trigger"` // its name
	URL        string `json:"url"`
	Secret     string `json:"secret"`
	Repository string `json:"repositoryUrl"`
}

// sourceHooks lists what is to be entered at git hosts, secrets included.
func (h handlers) sourceHooks(ctx context.Context, c *Call) (any, error) {
	t, err := h.Tasks.Get(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	found, err := h.Triggers.HooksOf(ctx, t.ID)
	hooks := make([]sourceHook, 0, len(found))
	for _, one := range found {
		hook := sourceHook{Trigger: one.Name, URL: h.HookURL(one.ID), Secret: one.Secret.Reveal()}
		if source := t.Properties.SourceNamed(one.Name); source != nil {
			hook.Repository = source.Repository.URL
		}
		hooks = append(hooks, hook)
	}
	return map[string]any{"value": hooks}, err
}

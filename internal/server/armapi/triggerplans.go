package armapi

import (
	"context"
	"strconv"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/task"
)

// triggerPlans are what the triggers of a task wait for: an addition of ours, to be listed only.
var triggerPlans = arm.NewKind(task.Kind.String() + "/triggerPlans")

// triggerPlan is what a trigger waits for, on the wire.
type triggerPlan struct {
	Type    string `json:"triggerType"`      // Timer, BaseImage
	Trigger string `json:"trigger"`          // its name
	Object  string `json:"object,omitempty"` // a schedule; an image
	Time    string `json:"time,omitempty"`   // when it is looked next; absent for what is seen when it happens
	Reason  string `json:"reason,omitempty"` // why it starts no run
}

// triggerPlan lists all of a task, on one page: they are as many as the task's document says.
func (h handlers) triggerPlan(ctx context.Context, c *Call, _ resource.Query) (part, error) {
	if c.ID.Kind().Key() != task.Kind.Key() {
		return part{}, notRouted(c.ID.String() + "/triggerPlans")
	}
	all, err := h.Triggers.Planned(ctx, c.ID)
	if err != nil {
		return part{}, err
	}
	var found part
	for i, p := range all {
		plan := triggerPlan{Type: string(p.Kind), Trigger: p.Trigger, Object: p.Object, Reason: p.Reason}
		if !p.Time.IsZero() {
			plan.Time = arm.Time(p.Time)
		}
		found.values = append(found.values, arm.Resource[triggerPlan]{ID: c.ID.Child("triggerPlans", strconv.Itoa(i+1)), Properties: plan})
	}
	return found, nil
}

package trigger

import (
	"context"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/tasks/ncrontab"
	"github.com/acrux/acrux/internal/tasks/task"
)

// Planned is what a trigger of a task waits for.
type Planned struct {
	Kind    Kind
	Trigger string    // its name
	Object  string    // a schedule; an image
	Time    time.Time // when it is looked next; zero for what is seen when it happens, or never
	Reason  string    // why it starts no run; empty if it does
}

// Planned lists what the triggers of a task wait for: timers first.
func (s *Service) Planned(ctx context.Context, id arm.ID) ([]Planned, error) {
	t, err := s.Tasks.Get(ctx, id)
	if err != nil || t.Properties.Trigger == nil {
		return nil, err
	}
	timers, err := s.plannedTimers(ctx, t)
	if err != nil {
		return nil, err
	}
	images, err := s.plannedImages(ctx, t)
	return append(timers, images...), err
}

func (s *Service) plannedTimers(ctx context.Context, t task.Task) (all []Planned, err error) {
	due, err := s.Store.NextDue(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	for _, one := range t.Properties.Trigger.Timer {
		p := Planned{Kind: ByTimer, Trigger: one.Name, Object: one.Schedule, Time: due[strings.ToLower(one.Name)]}
		if p.Time.IsZero() {
			p.Reason = "no day fits the schedule"
		}
		if _, err := ncrontab.Parse(one.Schedule); err != nil { // an older version took it
			p.Reason = "the schedule is not valid: " + err.Error()
		}
		if ok, why := enabled(t, one.Status); !ok {
			p.Reason = why
		}
		all = append(all, p)
	}
	return all, nil
}

// plannedImages has the images that the task's trigger takes note of.
func (s *Service) plannedImages(ctx context.Context, t task.Task) (all []Planned, err error) {
	trigger := baseTrigger(t)
	if trigger.BaseImageTrigger == nil {
		return nil, nil
	}
	polls, err := s.Store.PollsOf(ctx, []arm.ID{t.ID})
	if err != nil {
		return nil, err
	}
	due := map[string]time.Time{}
	for _, p := range polls {
		due[p.Image] = p.Due
	}
	ok, disabled := enabled(t, trigger.Status)
	for _, image := range t.Properties.Step.BaseImages {
		if !trigger.takes(image.Type) {
			continue
		}
		name := ImageOf(image.Registry, image.Repository, image.Tag)
		_, why, err := s.watched(ctx, image)
		if err != nil {
			return nil, err
		}
		if !ok {
			why = disabled
		}
		all = append(all, Planned{Kind: ByImage, Trigger: trigger.Name, Object: strings.TrimSuffix(name, ":"), Time: due[name], Reason: why})
	}
	if len(t.Properties.Step.BaseImages) == 0 {
		all = []Planned{{Kind: ByImage, Trigger: trigger.Name, Reason: "no good run yet that was built on an image"}}
	}
	return all, nil
}

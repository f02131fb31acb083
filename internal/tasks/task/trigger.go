package task

import (
	"errors"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/tasks/ncrontab"
)

// TimerTrigger makes runs at times. Schedule is an expression of package ncrontab, in UTC.
type TimerTrigger struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
	Status   string `json:"status"` // Enabled, Disabled
}

// maxTimers bounds the timers of one task.
const maxTimers = 50

// checkTrigger refuses triggers that nobody would pull, and those that are wrong.
func (p *Properties) checkTrigger() error {
	if p.Trigger == nil {
		return nil
	}
	if err := p.checkSources(); err != nil {
		return err
	}
	if n := len(p.Trigger.Timer); n > maxTimers {
		return invalid("trigger.timerTriggers", "The task has %d timers; at most %d are taken.", n, maxTimers)
	}
	if err := p.Trigger.BaseImage.check(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range p.Trigger.Timer {
		t := &p.Trigger.Timer[i]
		if err := t.check(); err != nil {
			return err
		}
		if key := strings.ToLower(t.Name); seen[key] {
			return invalid("trigger.timerTriggers", "There are two timers named '%s'.", t.Name)
		} else {
			seen[key] = true
		}
	}
	return nil
}

func (t *TimerTrigger) check() error {
	member := "trigger.timerTriggers." + t.Name
	if !timerName.MatchString(t.Name) {
		return invalid("trigger.timerTriggers", "'%s' does not name a timer: it has 1 to 63 letters, digits, '-' and '_'.", t.Name)
	}
	switch {
	case t.Status == "" || strings.EqualFold(t.Status, "Enabled"):
		t.Status = "Enabled"
	case strings.EqualFold(t.Status, "Disabled"):
		t.Status = "Disabled"
	default:
		return invalid(member+".status", "The status '%s' is neither Enabled nor Disabled.", t.Status)
	}
	var wrong *ncrontab.SyntaxError
	if _, err := ncrontab.Parse(t.Schedule); errors.As(err, &wrong) {
		return invalid(member+".schedule", "The schedule '%s' of timer '%s' is not valid: %v.", t.Schedule, t.Name, wrong).
			Hint("for noon UTC on every day: 0 12 * * *")
	}
	return nil
}

// check refuses what is not done for a base image trigger, and fills in what it stands for.
func (t *BaseImageTrigger) check() error {
	if t == nil {
		return nil
	}
	if t.UpdateEndpoint != nil && *t.UpdateEndpoint != "" {
		return unsupported("trigger.baseImageTrigger.updateTriggerEndpoint", "An endpoint that is told of updates")
	}
	for _, member := range []struct {
		name, alias string
		value       *string
		known       []string
	}{
		{"status", "The status", &t.Status, []string{"Enabled", "Disabled"}},
		{"baseImageTriggerType", "The type", &t.Type, []string{"Runtime", "All"}},
	} {
		i := slices.IndexFunc(member.known, func(one string) bool { return strings.EqualFold(one, *member.value) })
		if *member.value != "" && i < 0 {
			return invalid("trigger.baseImageTrigger."+member.name, "%s '%s' of the base image trigger is neither %s.", member.alias,
				*member.value, strings.Join(member.known, " nor "))
		}
		*member.value = member.known[max(i, 0)]
	}
	return nil
}

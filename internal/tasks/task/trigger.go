package task

import (
	"strings"

	"github.com/robfig/cron/v3"
)

// TimerTrigger makes runs at times. Schedule is a cron expression of five fields, in UTC.
//
// Timers are kept and shown; nothing fires them yet, and who writes one is told so.
type TimerTrigger struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
	Status   string `json:"status"` // Enabled, Disabled
}

// maxTimers bounds the timers of one task.
const maxTimers = 50

// checkTrigger refuses triggers that nobody would pull, and timers that are wrong. The
// base image trigger is in every task the CLI makes; it is kept and shown, as written in
// the reference.
func (p *Properties) checkTrigger() error {
	if p.Trigger == nil {
		return nil
	}
	if len(p.Trigger.Source) > 0 {
		return unsupported("trigger.sourceTriggers", "A source trigger")
	}
	if n := len(p.Trigger.Timer); n > maxTimers {
		return invalid("trigger.timerTriggers", "The task has %d timers; at most %d are taken.", n, maxTimers)
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
	// The library also knows words such as @daily and time zones; a schedule of Azure's
	// has neither.
	if n := len(strings.Fields(t.Schedule)); n != 5 || strings.ContainsAny(t.Schedule, "@=") {
		return invalid(member+".schedule", "The schedule '%s' of timer '%s' is not a cron expression of five fields: minute, hour, day, month, weekday.", t.Schedule, t.Name).
			Hint("for noon UTC on every day: 0 12 * * *")
	}
	if _, err := cron.ParseStandard(t.Schedule); err != nil {
		return invalid(member+".schedule", "The schedule '%s' of timer '%s' is not valid: %v.", t.Schedule, t.Name, err)
	}
	return nil
}

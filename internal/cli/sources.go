package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
)

// defaultSource names the source trigger that clients give a task.
const defaultSource = "defaultSourceTriggerName"

// sourceEvents are the flags that say what a source trigger is for.
var sourceEvents = []struct{ flag, event string }{
	{"commit-trigger-enabled", "commit"}, {"pull-request-trigger-enabled", "pullrequest"},
}

// newSourceEvents are those of a new task: who gives a token for a source, and does not say
// otherwise, wants its commits built.
func (c *call) newSourceEvents() (events []string) {
	if source := c.text("context"); source == "" || source == noContext {
		return nil
	}
	for _, e := range sourceEvents {
		implied := e.event == "commit" && !c.given(e.flag) && c.text("git-access-token") != ""
		if implied || c.yes(e.flag) {
			events = append(events, e.event)
		}
	}
	return events
}

// sourceTrigger adds to a trigger what the flags say of its repository, in the Azure CLI's shape.
func (c *call) sourceTrigger(trigger document, source string) document {
	repository := document{}
	if source != "" {
		_, fragment, _ := strings.Cut(source, "#")
		branch, _, _ := strings.Cut(fragment, ":")
		if branch == "" {
			branch = "master"
		}
		host := "VisualStudioTeamService"
		if strings.Contains(strings.ToLower(source), "github.com") {
			host = "Github"
		}
		repository["repositoryUrl"], repository["branch"], repository["sourceControlType"] = source, branch, host
	}
	if token := c.text("git-access-token"); token != "" {
		repository["sourceControlAuthProperties"] = document{"token": token, "tokenType": "PAT", "scope": "repo"}
	}
	if len(repository) > 0 {
		trigger["sourceRepository"] = repository
	}
	return trigger
}

// changedSource is what the flags change of a task's source trigger; nil if that is nothing.
func (c *call) changedSource(ctx context.Context, id arm.ID) (document, error) {
	if !c.givenAny("commit-trigger-enabled", "pull-request-trigger-enabled", "context", "git-access-token") {
		return nil, nil
	}
	var old struct {
		Properties struct {
			Step    struct{ ContextPath string }
			Trigger struct {
				SourceTriggers []struct {
					Name, Status        string
					SourceTriggerEvents []string
				}
			}
		}
	}
	if _, err := c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &old); err != nil {
		return nil, err
	}
	var events []string
	trigger, source := document{"name": defaultSource}, c.text("context")
	if all := old.Properties.Trigger.SourceTriggers; len(all) > 0 {
		trigger["name"] = all[0].Name
		if all[0].Status != "Disabled" {
			events = all[0].SourceTriggerEvents
		}
	} else if !c.yes("commit-trigger-enabled") && !c.yes("pull-request-trigger-enabled") {
		return nil, nil
	} else if source == "" {
		source = old.Properties.Step.ContextPath
	}
	events = c.changedEvents(events)
	trigger["sourceTriggerEvents"], trigger["status"] = events, switchOf(len(events) > 0, "Enabled", "Disabled")
	return c.sourceTrigger(trigger, source), nil
}

func (c *call) changedEvents(events []string) []string {
	changed := slices.Clone(events)
	for _, e := range sourceEvents {
		if !c.given(e.flag) {
			continue
		}
		changed = slices.DeleteFunc(changed, func(have string) bool { return strings.EqualFold(have, e.event) })
		if c.yes(e.flag) {
			changed = append(changed, e.event)
		}
	}
	return append([]string{}, changed...) // a list, also if it is empty
}

// sourceHooks shows what is to be entered at a git host.
func sourceHooks(ctx context.Context, c *call) (any, error) {
	id, err := c.taskID(ctx)
	if err != nil {
		return nil, err
	}
	var out struct{ Value []document }
	_, err = c.client.Do(ctx, "POST", id.String()+"/listSourceHooks", tasksVersion, nil, &out)
	return out.Value, err
}

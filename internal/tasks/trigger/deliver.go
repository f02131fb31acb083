package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/githost"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

// Outcome is what came of a delivery: a run, or why there is none.
type Outcome struct {
	Run    string `json:"runId,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// ErrReplayed says that a delivery was taken before, under another ID: its host would not do
// that.
var ErrReplayed = errors.New("the delivery was taken before, under another ID")

// seenBefore is what a host is told that sends a delivery once more.
const seenBefore = "seen before"

// Deliver starts the task that a delivery is for, or notes why it does not. The same delivery
// comes to one run however often it is sent.
func (s *Service) Deliver(ctx context.Context, source Source, d githost.Delivery, now time.Time) (Outcome, error) {
	t, trigger, err := s.sourceTrigger(ctx, source)
	if err != nil {
		return Outcome{}, err
	}
	if trigger == nil {
		return Outcome{Reason: "the source trigger was removed"}, nil
	}
	change, reason := choose(*trigger, d)
	if ok, why := enabled(t, trigger.Status); !ok {
		reason = why
	}
	e := Entry{Task: t.ID, Kind: BySource, Trigger: trigger.Name, Object: objectOf(d, change), Time: now, Reason: reason, Cause: causeOf(d, change)}
	before := ""
	err = s.start(ctx, &e, run.Cause{Source: causedBy(*trigger, d, change)}, func(ctx context.Context) (bool, error) {
		before, err = s.Store.TakeDelivery(ctx, source.ID, d.Digest, d.ID, now)
		return before == "", err
	})
	switch {
	case err != nil:
		return Outcome{}, err
	case before != "" && before != d.ID:
		return Outcome{}, ErrReplayed
	case before != "":
		return Outcome{Reason: seenBefore}, nil
	}
	return Outcome{Run: e.Run, Reason: e.Reason}, nil
}

// choose takes the first change that a trigger is for; if there is none, it says why not, of the
// first.
func choose(t task.SourceTrigger, d githost.Delivery) (githost.Change, string) {
	why := ""
	for i, c := range d.Changes {
		reason := refusal(t, d, c)
		if reason == "" {
			return c, ""
		}
		if i == 0 {
			why = reason
		}
	}
	return d.Changes[0], why
}

// refusal says why a change makes no run of a trigger; "" if it does.
func refusal(t task.SourceTrigger, d githost.Delivery, c githost.Change) string {
	branch := t.Repository.Branch
	switch {
	case d.Repository != "" && !samePath(d.Repository, withoutFragment(t.Repository.URL)):
		return fmt.Sprintf("repository %s is not %s", d.Repository, withoutFragment(t.Repository.URL))
	case c.Kind == githost.Nothing:
		return c.Note
	case !slices.Contains(t.Events, string(c.Kind)):
		return "the trigger does not have the event " + string(c.Kind)
	case c.Branch != branch:
		return fmt.Sprintf("branch %s is not %s", c.Branch, branch)
	case c.Fork:
		return "the pull request comes from a fork, whose runs are not available in this version of Acrux"
	}
	return ""
}

func withoutFragment(address string) string {
	address, _, _ = strings.Cut(address, "#")
	return address
}

// objectOf is what the log says that was delivered.
func objectOf(d githost.Delivery, c githost.Change) string {
	object := "delivery " + d.ID
	if c.Number != 0 {
		object += fmt.Sprintf(", pull request %d to", c.Number)
	}
	if c.Branch != "" {
		object += " branch " + c.Branch
	}
	if c.Commit != "" {
		object += ", commit " + c.Commit
	}
	if d.Sender != "" {
		object += ", by " + d.Sender
	}
	return object
}

// causeOf is what makes one run. Hosts tell as well when words of a pull request were changed: what
// its commits were built for is not built again, unless it was closed meanwhile.
func causeOf(d githost.Delivery, c githost.Change) string {
	if c.Kind == githost.PullRequest && !c.Again {
		return fmt.Sprintf("pull request %d %s", c.Number, c.Commit)
	}
	return d.Digest
}

func causedBy(t task.SourceTrigger, d githost.Delivery, c githost.Change) *run.SourceChange {
	cause := &run.SourceChange{ID: d.ID, EventType: string(c.Kind), CommitID: c.Commit, Trigger: t.Name,
		RepositoryURL: t.Repository.URL, BranchName: c.Branch, ProviderType: string(d.Provider)}
	if c.Kind == githost.PullRequest {
		cause.PullRequestID = strconv.FormatInt(c.Number, 10)
	}
	return cause
}

package registryapi

import (
	"encoding/json"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry/collect"
)

// purgeRequest is the body of POST /acr/v1/NAME/_purge.
type purgeRequest struct {
	Filter   *string   `json:"filter"` // a regular expression for tags, as the published purge tool has them; none is no tags
	Before   time.Time `json:"before"` // only what was pushed before; required
	Keep     int       `json:"keep"`
	Untagged bool      `json:"untagged"`
	Locked   bool      `json:"includeLocked"`
	DryRun   bool      `json:"dryRun"`
}

// Bounds of a filter: its length, and the time that one name may take.
const (
	maxFilter = 4096
	matchTime = time.Second
)

// manyPurged is from how many tags and manifests on a purge is large.
const manyPurged = 5000

func (p purgeRequest) rules() (collect.Rules, error) {
	rules := collect.Rules{Before: p.Before, Keep: p.Keep, Untagged: p.Untagged, Locked: p.Locked}
	switch {
	case p.Before.IsZero():
		return rules, problem.New(problem.Invalid, "INVALID_REQUEST", "the request does not say before when what is purged was pushed").On("before")
	case p.Keep < 0:
		return rules, problem.New(problem.Invalid, "INVALID_REQUEST", "keep is %d", p.Keep).On("keep")
	case p.Filter == nil && !p.Untagged:
		return rules, problem.New(problem.Invalid, "INVALID_REQUEST", "there is nothing to purge: neither a filter nor untagged manifests").On("filter")
	case p.Filter == nil:
		return rules, nil
	case len(*p.Filter) > maxFilter:
		return rules, problem.New(problem.Invalid, "INVALID_REQUEST", "the filter has more than %d characters", maxFilter).On("filter")
	}
	re, err := regexp2.Compile(*p.Filter, regexp2.RE2)
	if err != nil {
		return rules, problem.New(problem.Invalid, "INVALID_REQUEST", "the filter is not a regular expression: %v", err).On("filter")
	}
	re.MatchTimeout = matchTime
	rules.Match = func(tag string) (bool, error) {
		matches, err := re.MatchString(tag)
		if err != nil {
			err = problem.New(problem.Invalid, "INVALID_REQUEST", "the filter takes more than %s for the tag %s", matchTime, tag).On("filter").Because(err)
		}
		return matches, err
	}
	return rules, nil
}

// purge deletes tags and manifests of a repository by rules, or says what it would delete.
func (c *call) purge() error {
	text, err := c.readBody(maxAttributes)
	if err != nil {
		return err
	}
	var asked purgeRequest
	if err := json.Unmarshal(text, &asked); err != nil {
		return problem.New(problem.Invalid, "INVALID_REQUEST", "the request body is not a purge: %v", err)
	}
	if asked.Locked {
		if err := c.alsoNeeds(oci.RepositoryAccess(c.req.Repository, oci.MetadataWrite)); err != nil {
			return err
		}
	}
	rules, err := asked.rules()
	if err != nil {
		return err
	}
	var done collect.Plan
	if asked.DryRun {
		done, err = c.server.Purger.Plan(c.Context(), c.repository(), rules)
	} else {
		done, err = c.server.Purger.Purge(c.Context(), c.repository(), rules, c.actor(), c.now)
	}
	if err != nil {
		return err
	}
	if len(done.Tags)+len(done.Manifests)+len(done.Skipped) > manyPurged {
		defer debug.FreeOSMemory() // the runtime would keep most of what the plan took
	}
	tags, manifests := []string{}, []string{}
	for _, t := range done.Tags {
		tags = append(tags, t.Name)
	}
	for _, d := range done.Manifests {
		manifests = append(manifests, d.String())
	}
	body := c.about()
	body["tagsDeleted"], body["manifestsDeleted"], body["skipped"], body["dryRun"] = tags, manifests, orEmpty(done.Skipped), asked.DryRun
	body["more"] = done.More
	return c.json(http.StatusOK, body)
}

// alsoNeeds checks an access that the body of a request makes necessary.
func (c *call) alsoNeeds(need oci.Access) error {
	for _, action := range need.Actions {
		if err := c.check(c.subject, action, need.Name); err != nil {
			return err
		}
	}
	if c.granted != nil && !covered(c.granted, need) {
		return c.challenge("insufficient_scope", "the access token does not cover the request")
	}
	return nil
}

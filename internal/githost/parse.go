package githost

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/go-playground/webhooks/v6/azuredevops"
	"github.com/go-playground/webhooks/v6/bitbucket"
	bitbucketserver "github.com/go-playground/webhooks/v6/bitbucket-server"
	"github.com/go-playground/webhooks/v6/gitea"
	"github.com/go-playground/webhooks/v6/github"
	"github.com/go-playground/webhooks/v6/gitlab"
)

func parseGitea(header http.Header, body []byte, d *Delivery) error {
	switch event := first(header, []string{"X-Forgejo-Event", "X-Gitea-Event"}); event {
	case "push":
		var p gitea.PushPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		if p.Repo == nil || p.Pusher == nil {
			return errors.New("a push has no repository or no pusher")
		}
		d.Repository, d.Sender = p.Repo.CloneURL, p.Pusher.UserName
		d.pushed(p.Ref, p.After)
	case "pull_request", "pull_request_sync":
		var p gitea.PullRequestPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		pull := p.PullRequest
		if p.Repository == nil || p.Sender == nil || pull == nil || pull.Base == nil || pull.Head == nil {
			return errors.New("a pull request has no repository, no base or no head")
		}
		base, head := pull.Base, pull.Head
		d.Repository, d.Sender = p.Repository.CloneURL, p.Sender.UserName
		d.proposed(string(p.Action), Change{Branch: base.Ref, Commit: head.Sha, Number: p.Index,
			Fork: head.Repository == nil || head.RepoID != base.RepoID})
	case "delete":
		var p gitea.DeletePayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		d.nothing("%s %s was deleted", p.RefType, p.Ref)
	default:
		d.nothing("event %q is none of a push or a pull request", event)
	}
	return nil
}

func parseGitHub(header http.Header, body []byte, d *Delivery) error {
	switch event := header.Get("X-GitHub-Event"); event {
	case "push":
		var p github.PushPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		d.Repository, d.Sender = p.Repository.CloneURL, p.Sender.Login
		d.pushed(p.Ref, p.After)
	case "pull_request":
		var p github.PullRequestPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		base, head := p.PullRequest.Base, p.PullRequest.Head
		d.Repository, d.Sender = p.Repository.CloneURL, p.Sender.Login
		d.proposed(p.Action, Change{Branch: base.Ref, Commit: head.Sha, Number: p.Number, Fork: head.Repo.ID != base.Repo.ID})
	case "ping":
		d.nothing("ping: deliveries arrive")
	default:
		d.nothing("event %q is none of a push or a pull request", event)
	}
	return nil
}

func parseGitLab(header http.Header, body []byte, d *Delivery) error {
	switch event := header.Get("X-Gitlab-Event"); event {
	case "Push Hook", "Tag Push Hook":
		var p gitlab.PushEventPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		d.Repository, d.Sender = p.Project.GitHTTPURL, p.UserUsername
		d.pushed(p.Ref, p.After)
	case "Merge Request Hook":
		var p gitlab.MergeRequestEventPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		at := p.ObjectAttributes
		d.Repository, d.Sender = p.Project.GitHTTPURL, p.User.UserName
		d.proposed(at.Action, Change{Branch: at.TargetBranch, Commit: at.LastCommit.ID, Number: at.IID,
			Fork: at.SourceProjectID != at.TargetProjectID})
	default:
		d.nothing("event %q is none of a push or a merge request", event)
	}
	return nil
}

func parseBitbucket(header http.Header, body []byte, d *Delivery) error {
	switch event := header.Get("X-Event-Key"); event {
	case "repo:push":
		var p bitbucket.RepoPushPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		d.Repository, d.Sender = p.Repository.Links.HTML.Href, p.Actor.DisplayName
		for _, c := range p.Push.Changes {
			switch {
			case c.New.Type == "branch":
				d.pushed("refs/heads/"+c.New.Name, c.New.Target.Hash)
			case c.New.Type == "":
				d.nothing("%s %s was deleted", c.Old.Type, c.Old.Name)
			default:
				d.nothing("%s %s is not a branch", c.New.Type, c.New.Name)
			}
		}
	case "pullrequest:created", "pullrequest:updated":
		var p bitbucket.PullRequestCreatedPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		from, to := p.PullRequest.Source, p.PullRequest.Destination
		d.Repository, d.Sender = p.Repository.Links.HTML.Href, p.Actor.DisplayName
		d.proposed(strings.TrimPrefix(event, "pullrequest:"), Change{Branch: to.Branch.Name, Commit: from.Commit.Hash,
			Number: p.PullRequest.ID, Fork: from.Repository.FullName != to.Repository.FullName})
	default:
		d.nothing("event %q is none of a push or a pull request", event)
	}
	return nil
}

func parseBitbucketServer(header http.Header, body []byte, d *Delivery) error {
	switch event := header.Get("X-Event-Key"); event {
	case "repo:refs_changed":
		var p bitbucketserver.RepositoryReferenceChangedPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		d.Sender = p.Actor.Name
		for _, c := range p.Changes {
			d.pushed(c.ReferenceID, c.ToHash)
		}
	case "pr:opened", "pr:from_ref_updated":
		var p bitbucketserver.PullRequestOpenedPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		from, to := p.PullRequest.FromRef, p.PullRequest.ToRef
		d.Sender = p.Actor.Name
		action := map[string]string{"pr:opened": "opened", "pr:from_ref_updated": "updated"}[event]
		d.proposed(action, Change{Branch: to.DisplayID, Commit: from.LatestCommit, Number: int64(p.PullRequest.ID),
			Fork: from.Repository.ID != to.Repository.ID})
	default:
		d.nothing("event %q is none of a push or a pull request", event)
	}
	return nil
}

func parseAzureDevOps(_ http.Header, body []byte, d *Delivery) error {
	var what azuredevops.BasicEvent
	if err := json.Unmarshal(body, &what); err != nil {
		return err
	}
	d.ID = what.ID
	switch what.EventType {
	case "git.push":
		var p azuredevops.GitPushEvent
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		d.Repository, d.Sender = p.Resource.Repository.RemoteURL, p.Resource.PushedBy.DisplayName
		for _, u := range p.Resource.RefUpdates {
			d.pushed(u.Name, u.NewObjectID)
		}
	case "git.pullrequest.created", "git.pullrequest.updated":
		return d.parseAzurePull(body, what.EventType == "git.pullrequest.created")
	default:
		d.nothing("event %q is none of a push or a pull request", what.EventType)
	}
	return nil
}

func (d *Delivery) parseAzurePull(body []byte, created bool) error {
	var p azuredevops.GitPullRequestEvent
	var fork struct { // which the library does not have
		Resource struct {
			ForkSource *struct{} `json:"forkSource"`
		} `json:"resource"`
	}
	if err := errors.Join(json.Unmarshal(body, &p), json.Unmarshal(body, &fork)); err != nil {
		return err
	}
	pull, action := p.Resource, "updated"
	if created {
		action = "created"
	}
	if pull.Status != "active" {
		action = pull.Status
	}
	d.Repository, d.Sender = pull.Repository.RemoteURL, pull.CreatedBy.DisplayName
	d.proposed(action, Change{Branch: strings.TrimPrefix(pull.TargetRefName, "refs/heads/"),
		Commit: pull.LastMergeSourceCommit.CommitID, Number: int64(pull.PullRequestID),
		Fork: fork.Resource.ForkSource != nil})
	return nil
}

var commitName = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// parseGeneric reads our own form, docs/triggers.md: {"id","repository","branch","commit"}.
func parseGeneric(_ http.Header, body []byte, d *Delivery) error {
	var p struct{ ID, Repository, Branch, Commit string }
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	if p.ID == "" || p.Branch == "" || !commitName.MatchString(p.Commit) {
		return errors.New(`it needs "id", "branch" and "commit", which is hexadecimal`)
	}
	d.ID, d.Repository = p.ID, p.Repository
	d.pushed("refs/heads/"+p.Branch, p.Commit)
	return nil
}

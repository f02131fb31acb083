// Package githost reads what git hosts send when something was pushed or proposed: GitHub and
// its Enterprise server, Gitea and Forgejo, GitLab, Bitbucket (Cloud and Data Center), Azure
// DevOps, and a form of our own for everything else.
//
// Nothing of a body is read before its signature or secret is right. What a host sends is then
// the same type, whichever it is:
//
//	headers, body ──who, proof──▶ parser of the host ──▶ Delivery
//
// The bodies are parsed into the types of github.com/go-playground/webhooks; what a signature is,
// and when it is looked at, is decided here.
package githost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Provider is a git host.
type Provider string

// The hosts.
const (
	GitHub          Provider = "GitHub"
	Gitea           Provider = "Gitea" // and Forgejo
	GitLab          Provider = "GitLab"
	Bitbucket       Provider = "Bitbucket"
	BitbucketServer Provider = "BitbucketServer"
	AzureDevOps     Provider = "AzureDevOps"
	Generic         Provider = "Generic"
)

// Delivery is what a host tells: one request of it.
type Delivery struct {
	// ID is what the host calls the delivery. Who knows the secret of a host that does not sign,
	// or has seen a delivery of one that does, may give it any.
	ID string
	// Digest is the same for the same delivery alone: made of what the secret vouches for.
	Digest     string
	Provider   Provider
	Repository string // URL for git; empty if the host does not tell
	Sender     string
	Changes    []Change // at least one
}

// Change is what has happened to one branch or pull request.
type Change struct {
	Kind   Kind
	Branch string // that was pushed, or is proposed to; without refs/heads/
	Commit string
	Number int64  // of the pull request
	Fork   bool   // the pull request comes from another repository
	Again  bool   // the pull request was opened once more, perhaps with the same commit
	Note   string // of Nothing: why it makes no run
}

// Kind is what kind of change it is.
type Kind string

// The kinds.
const (
	Push        Kind = "commit"
	PullRequest Kind = "pullrequest"
	Nothing     Kind = "" // nothing that could be built
)

// ErrForged says that a delivery does not prove to be by who knows the secret.
var ErrForged = errors.New("the signature or secret is not that of the trigger")

// ErrUnreadable says that a body, though its proof is right, is not what its host sends.
var ErrUnreadable = errors.New("the body is not as the host's deliveries are")

// Read checks that a delivery is by who knows the secret, and reads it. Errors wrap ErrForged or
// ErrUnreadable.
func Read(header http.Header, body []byte, secret string) (Delivery, error) {
	host, ok := recognise(header)
	if !ok || secret == "" || !host.proved(header, body, secret) {
		return Delivery{}, ErrForged
	}
	d := Delivery{ID: host.id(header), Provider: host.provider}
	content, err := unwrap(header, body)
	if err == nil {
		err = host.parse(header, content, &d)
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("%w (%s): %w", ErrUnreadable, host.provider, err)
	}
	if len(d.Changes) == 0 {
		d.nothing("it tells of no change")
	}
	for _, c := range d.Changes { // becomes an argument of git
		if c.Kind != Nothing && !commitName.MatchString(c.Commit) {
			return Delivery{}, fmt.Errorf("%w (%s): %q is not a commit", ErrUnreadable, host.provider, c.Commit)
		}
	}
	sum := sha256.New()
	if !host.signs {
		sum.Write([]byte(d.ID + "\n"))
	}
	sum.Write(body)
	d.Digest = hex.EncodeToString(sum.Sum(nil))
	if d.ID == "" {
		d.ID = d.Digest
	}
	return d, nil
}

// unwrap is the JSON of a body: GitHub's older form has it as a field.
func unwrap(header http.Header, body []byte) ([]byte, error) {
	if !strings.HasPrefix(header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return body, nil
	}
	form, err := url.ParseQuery(string(body))
	return []byte(form.Get("payload")), err
}

func (d *Delivery) nothing(format string, args ...any) {
	d.Changes = append(d.Changes, Change{Note: fmt.Sprintf(format, args...)})
}

// pushed adds what a push did to a ref. A commit of zeros is that of a deleted branch.
func (d *Delivery) pushed(ref, commit string) {
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	switch {
	case strings.HasPrefix(ref, "refs/tags/"):
		d.nothing("tag %s is not a branch", strings.TrimPrefix(ref, "refs/tags/"))
	case !isBranch:
		d.nothing("%q is not a branch", ref)
	case strings.Trim(commit, "0") == "":
		d.Changes = append(d.Changes, Change{Branch: branch, Note: "branch " + branch + " was deleted"})
	default:
		d.Changes = append(d.Changes, Change{Kind: Push, Branch: branch, Commit: commit})
	}
}

// proposed adds what happened to a pull request, if its commits are to be built.
func (d *Delivery) proposed(action string, c Change) {
	switch strings.ToLower(action) {
	case "opened", "open", "created", "synchronize", "synchronized", "update", "updated":
	case "reopened", "reopen":
		c.Again = true
	default:
		c = Change{Note: fmt.Sprintf("pull request %d was %s: that changes no commit", c.Number, action)}
		d.Changes = append(d.Changes, c)
		return
	}
	c.Kind = PullRequest
	d.Changes = append(d.Changes, c)
}

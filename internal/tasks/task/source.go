package task

import (
	"net/url"
	"slices"
	"strings"
)

// SourceTrigger makes runs when something is pushed to the task's source, or proposed to it.
type SourceTrigger struct {
	Name       string            `json:"name"`
	Status     string            `json:"status"`              // Enabled, Disabled
	Events     []string          `json:"sourceTriggerEvents"` // commit, pullrequest
	Repository *SourceRepository `json:"sourceRepository"`
}

// SourceRepository is where a source trigger looks.
type SourceRepository struct {
	// Type is kept for clients: which host it is shows in what it sends.
	Type   string      `json:"sourceControlType"`
	URL    string      `json:"repositoryUrl"` // with #BRANCH:FOLDER, as contexts have it
	Branch string      `json:"branch"`
	Auth   *SourceAuth `json:"sourceControlAuthProperties"`
}

// SourceAuth is the credential for the repository. A run that the trigger starts fetches with
// it if the step has none of its own.
type SourceAuth struct {
	TokenType string  `json:"tokenType"`       // PAT
	Token     *string `json:"token,omitempty"` // secret
	Scope     *string `json:"scope,omitempty"` // as the client noted it
}

// The events of source triggers.
const (
	OnCommit      = "commit"
	OnPullRequest = "pullrequest"
)

// defaultBranch is the branch of a source that names none, as clients have it.
const defaultBranch = "master"

// maxSources bounds the source triggers of one task.
const maxSources = 10

// sources are the source triggers, to be changed in place.
func (p *Properties) sources() []SourceTrigger {
	if p.Trigger == nil {
		return nil
	}
	return p.Trigger.Source
}

// checkSources refuses source triggers that could not be pulled, and fills in what they stand for.
func (p *Properties) checkSources() error {
	if n := len(p.sources()); n > maxSources {
		return invalid("trigger.sourceTriggers", "The task has %d source triggers; at most %d are taken.", n, maxSources)
	}
	seen := map[string]bool{}
	for i := range p.sources() {
		t := &p.Trigger.Source[i]
		if err := t.check(p.Step); err != nil {
			return err
		}
		if key := strings.ToLower(t.Name); seen[key] {
			return invalid("trigger.sourceTriggers", "There are two source triggers named '%s'.", t.Name)
		} else {
			seen[key] = true
		}
	}
	return nil
}

func (t *SourceTrigger) check(step *Step) error {
	member := "trigger.sourceTriggers." + t.Name
	if !timerName.MatchString(t.Name) {
		return invalid("trigger.sourceTriggers", "'%s' does not name a source trigger: it has 1 to 63 letters, digits, '-' and '_'.", t.Name)
	}
	i := slices.IndexFunc([]string{"", "Enabled", "Disabled"}, func(s string) bool { return strings.EqualFold(s, t.Status) })
	if i < 0 {
		return invalid(member+".status", "The status '%s' is neither Enabled nor Disabled.", t.Status)
	}
	t.Status = []string{"Enabled", "Enabled", "Disabled"}[i]
	if len(t.Events) == 0 && t.Status == "Enabled" {
		return invalid(member+".sourceTriggerEvents", "The source trigger '%s' has no events: %s, %s.", t.Name, OnCommit, OnPullRequest)
	}
	for i, event := range t.Events {
		t.Events[i] = strings.ToLower(event)
		if !slices.Contains([]string{OnCommit, OnPullRequest}, t.Events[i]) {
			return invalid(member+".sourceTriggerEvents", "The event '%s' is neither %s nor %s.", event, OnCommit, OnPullRequest)
		}
	}
	return t.checkRepository(member+".sourceRepository", step)
}

func (t *SourceTrigger) checkRepository(member string, step *Step) error {
	r := t.Repository
	if r == nil || r.URL == "" {
		return invalid(member, "The source trigger '%s' has no repositoryUrl: it needs a git repository to look at.", t.Name)
	}
	address, fragment, _ := strings.Cut(r.URL, "#")
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return invalid(member+".repositoryUrl", "'%s' is not the https URL of a git repository.", address).
			Hint("for example https://github.com/Azure-Samples/acr-build-helloworld-node.git#main")
	} else if u.User != nil {
		return invalid(member+".repositoryUrl", "The URL of the source trigger '%s' has a credential in it: that goes into its token.", t.Name)
	}
	if context, _, _ := strings.Cut(step.ContextPath, "#"); !strings.EqualFold(RepositoryKey(context), RepositoryKey(address)) {
		return invalid(member+".repositoryUrl", "The source trigger '%s' looks at '%s', but the task is made from '%s': "+
			"no commit of the one is in the other.", t.Name, address, context).Hint("give both the same --context")
	}
	if r.Branch == "" {
		r.Branch, _, _ = strings.Cut(fragment, ":")
	}
	if r.Branch == "" {
		r.Branch = defaultBranch
	}
	r.Branch = strings.TrimPrefix(r.Branch, "refs/heads/")
	if r.Auth != nil && !strings.EqualFold(r.Auth.TokenType, "PAT") && r.Auth.TokenType != "" {
		return unsupported(member+".sourceControlAuthProperties.tokenType", "A token of the type '"+r.Auth.TokenType+"'")
	}
	return nil
}

// RepositoryKey is what two URLs of one repository have in common: host and path in lower case,
// without .git. It is empty if it is none.
func RepositoryKey(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return strings.ToLower(u.Host + strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git"))
}

// SourceNamed is the source trigger of a name, or nil.
func (p *Properties) SourceNamed(name string) *SourceTrigger {
	for i, t := range p.sources() {
		if strings.EqualFold(t.Name, name) {
			return &p.Trigger.Source[i]
		}
	}
	return nil
}

// AtCommit is the source of the task at a commit instead of its branch, with its folder.
func (s *Step) AtCommit(commit string) string {
	address, fragment, _ := strings.Cut(s.ContextPath, "#")
	address += "#" + commit
	if _, folder, found := strings.Cut(fragment, ":"); found {
		address += ":" + folder
	}
	return address
}

// HookSecret names the sealed secret that deliveries for a source trigger are signed with. It
// is no member of the task.
func HookSecret(name string) string {
	return secretName("sourceTrigger", strings.ToLower(name), "hook")
}

func sourceToken(name string) string {
	return secretName("sourceTrigger", strings.ToLower(name), "token")
}

func (p *Properties) eachSourceToken(fn func(name string, text **string)) {
	for _, t := range p.sources() {
		if t.Repository != nil && t.Repository.Auth != nil {
			fn(sourceToken(t.Name), &t.Repository.Auth.Token)
		}
	}
}

// movedSources names the source triggers that look at another repository than before: what its
// host knew is not for the next.
func (p *Properties) movedSources(old *Properties) (names []string) {
	if old == nil {
		return nil
	}
	for _, t := range p.sources() {
		was := old.SourceNamed(t.Name)
		if was == nil || was.Repository == nil || RepositoryKey(was.Repository.URL) != RepositoryKey(t.Repository.URL) {
			names = append(names, t.Name)
		}
	}
	return names
}

package run

// Cause is why a run began: at most one member is set, and none where somebody asked for it.
// It is shown as az-wire, section 9.5, has it.
type Cause struct {
	Timer  *TimerTrigger
	Image  *ImageUpdate
	Source *SourceChange
}

// TimerTrigger is a timer that was due.
type TimerTrigger struct {
	Name       string `json:"timerTriggerName"`
	Occurrence string `json:"scheduleOccurrence"` // the planned time
}

// SourceChange is what was pushed to the source of the task, or proposed to it.
type SourceChange struct {
	ID            string `json:"id"`        // of the delivery
	EventType     string `json:"eventType"` // commit, pullrequest
	CommitID      string `json:"commitId"`
	PullRequestID string `json:"pullRequestId,omitempty"`
	RepositoryURL string `json:"repositoryUrl"`
	BranchName    string `json:"branchName"`
	ProviderType  string `json:"providerType"` // GitHub, Gitea, GitLab, Bitbucket, …
	// Trigger is an addition of ours: its name.
	Trigger string `json:"triggerName"`
}

// ImageUpdate are images that the task was built on, and that have other content now.
type ImageUpdate struct {
	ID        string         `json:"id"`
	Timestamp string         `json:"timestamp"`
	Images    []UpdatedImage `json:"images"`
}

// UpdatedImage is a tag that was moved.
type UpdatedImage struct {
	Type       string `json:"type"` // RunTime, BuildTime
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	// OldDigest is an addition of ours: what the task was built on.
	OldDigest string `json:"oldDigest,omitempty"`
}

// Word is the cause as task files and listings name it (task-file, section 7.1).
func (c Cause) Word() string {
	switch {
	case c.Timer != nil:
		return "Timer"
	case c.Image != nil:
		return "Image Update"
	case c.Source != nil && c.Source.PullRequestID != "":
		return "Pull Request"
	case c.Source != nil:
		return "Commit"
	}
	return "Manual"
}

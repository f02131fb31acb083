package run

// Cause is why a run began: at most one member is set, and none where somebody asked for it.
// It is shown as az-wire, section 9.5, has it.
type Cause struct {
	Timer *TimerTrigger
	Image *ImageUpdate
}

// TimerTrigger is a timer that was due.
type TimerTrigger struct {
	Name       string `json:"timerTriggerName"`
	Occurrence string `json:"scheduleOccurrence"` // the planned time
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
	}
	return "Manual"
}

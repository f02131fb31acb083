// Package run holds runs: single executions of a task, or of steps given directly.
// A run is a row; it is queued here, leased to an agent through lease.Leaser (which
// Service implements) and ends in exactly one final state.
//
//	Queued ──▶ Started ──▶ Running ──▶ Succeeded | Failed | Canceled | Timeout | Error
//	   └──────────┴────────────────▶ Canceled | Error
//	   └──nobody can take it───────▶ Timeout
//
// A final state never changes. It is set after the last byte of the log, so who sees
// it may read the whole log. What the agent needs is pinned when the run is queued,
// sealed, and thrown away when the run ends.
package run

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/task"
)

// Kind is the kind of runs.
var Kind = arm.NewKind("Microsoft.ContainerRegistry/registries/runs")

// Status is the state of a run.
type Status string

// The states that are not final; the final ones are lease.Status.
const (
	Queued  Status = "Queued"
	Started Status = "Started"
	Running Status = "Running"
)

// Final reports whether the state never changes any more.
func (s Status) Final() bool { return s != Queued && s != Started && s != Running }

// ParseStatus reads the name of a state, in whatever case; empty if there is none such.
func ParseStatus(name string) Status {
	for _, s := range []Status{Queued, Started, Running, Status(lease.Succeeded), Status(lease.Failed), Status(lease.Canceled), Status(lease.Timeout), Status(lease.Error)} {
		if strings.EqualFold(string(s), name) {
			return s
		}
	}
	return ""
}

// Properties are those of a run on the wire.
type Properties struct {
	RunID              string                   `json:"runId"`
	Status             Status                   `json:"status"`
	LastUpdatedTime    string                   `json:"lastUpdatedTime"`
	RunType            string                   `json:"runType"`
	AgentPoolName      *string                  `json:"agentPoolName"`
	CreateTime         string                   `json:"createTime"`
	StartTime          *string                  `json:"startTime"`
	FinishTime         *string                  `json:"finishTime"`
	OutputImages       []Image                  `json:"outputImages"`
	Task               *string                  `json:"task"`
	ImageUpdateTrigger *ImageUpdate             `json:"imageUpdateTrigger"`
	SourceTrigger      *SourceChange            `json:"sourceTrigger"`
	TimerTrigger       *TimerTrigger            `json:"timerTrigger"`
	Platform           *task.Platform           `json:"platform"`
	AgentConfiguration *task.AgentConfiguration `json:"agentConfiguration"`
	SourceRegistryAuth *string                  `json:"sourceRegistryAuth"`
	CustomRegistries   []string                 `json:"customRegistries"`
	RunErrorMessage    *string                  `json:"runErrorMessage"`
	LogArtifact        any                      `json:"logArtifact"`
	UpdateTriggerToken *string                  `json:"updateTriggerToken"`
	ProvisioningState  string                   `json:"provisioningState"`
	IsArchiveEnabled   bool                     `json:"isArchiveEnabled"`
	// LayerCache is an addition of ours. It is there once a run with builds has ended.
	LayerCache *LayerCache `json:"layerCache,omitempty"`
}

// LayerCache says what the builds of a run found in the cache.
type LayerCache struct {
	Layers int `json:"layers"` // made by the builds' instructions
	Cached int `json:"cached"`
}

// Image is an image that a run pushed.
type Image struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
}

// Run is a run as a resource.
type Run = arm.Resource[Properties]

// anyArch is the architecture of runs that any agent can execute: an image is built for its own
// platform, not for that of the machine.
const anyArch = ""

// Row is a run as stored.
type Row struct {
	Registry   arm.ID
	Number     int64
	Task       arm.ID // zero for quick runs
	Status     Status
	Pool       string
	OS, Arch   string        // of the agent that it needs; anyArch is whichever
	Timeout    time.Duration // of the run, also of its waiting for an agent that is not there
	Properties Properties
	Job        []byte // sealed lease.Job; nil once the run has ended
	Created    time.Time
	Updated    time.Time
	Started    time.Time
	Finished   time.Time
	Agent      string
	Fence      int64
	LeaseUntil time.Time
	Cancel     bool // a user asked for it
}

// ID is the resource ID of the run.
func (r *Row) ID() arm.ID { return r.Registry.Child("runs", r.Properties.RunID) }

// Resource is the run on the wire.
func (r *Row) Resource() Run {
	p := r.Properties
	p.Status, p.LastUpdatedTime, p.CreateTime = r.Status, arm.Time(r.Updated), arm.Time(r.Created)
	p.StartTime, p.FinishTime = optionalTime(r.Started), optionalTime(r.Finished)
	return Run{ID: r.ID(), Properties: p}
}

func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := arm.Time(t)
	return &text
}

// ErrNotFound says that there is no such run.
var ErrNotFound = errors.New("no such run")

// Store keeps runs. Its methods take part in ctx's transaction.
type Store interface {
	resource.Transactor
	// NextNumber counts a registry's runs, from 1, and returns the registry's prefix
	// for run IDs, which prefix makes the first time.
	NextNumber(ctx context.Context, registry arm.ID, prefix func() string) (string, int64, error)
	// Run finds by registry and run ID, without case; or ErrNotFound.
	Run(ctx context.Context, registry arm.ID, runID string) (Row, error)
	// Runs lists a registry's runs, newest first. The time it takes depends on how many it
	// returns, not on how many there are.
	Runs(ctx context.Context, registry arm.ID, filter Filter) ([]Row, error)
	// NextQueued returns the run that has waited longest of those the agent fits (a run without
	// an architecture fits all of the OS), and
	// keeps others from getting it until the transaction ends; or ErrNotFound.
	NextQueued(ctx context.Context, agent lease.Agent) (Row, error)
	// QueuedOf lists a task's queued runs.
	QueuedOf(ctx context.Context, task arm.ID) ([]Row, error)
	// QueuedIn lists a registry's runs that wait for agents of the pool.
	QueuedIn(ctx context.Context, registry arm.ID, pool string) ([]Row, error)
	// Waiting lists the runs that have been queued since before the time.
	Waiting(ctx context.Context, before time.Time) ([]Row, error)
	// Leased lists the runs with leases that end before the time, or that the agent holds.
	Leased(ctx context.Context, before time.Time, agent string) ([]Row, error)
	// PutRun writes a run, new or not.
	PutRun(ctx context.Context, row Row) error
	// DeleteEnded removes up to n runs that ended before a time and are not archived, and tells
	// how many.
	DeleteEnded(ctx context.Context, before time.Time, n int) (int64, error)
	// Archived lists the runs that are kept for good, by the names of their logs.
	Archived(ctx context.Context) ([]runlog.Key, error)
}

// Filter selects runs; empty members select all.
type Filter struct {
	Task   string // name
	Status string
	RunID  string
	Output string // REPOSITORY@DIGEST of an image that was pushed
	Before int64  // only those with a lower number, where a list goes on
	Top    int    // how many at most; 0: all
}

// Package lease is the contract between the control plane and the agents that
// execute runs. An agent knows the control plane through a Leaser and nothing
// else; it holds no key, no database and no role.
//
//	         Acquire             Report(Running)            Complete
//	Queued ───────────▶ Started ────────────────▶ Running ───────────▶ final
//	                        │                        │
//	                        └── deadline missed ─────┴──────────────▶ final (Error)
//
// A lease has a deadline, which Renew moves, and a fencing token, which grows with
// each lease of a run. Every call names both the run and the token; a call with a
// token that is no longer the run's fails with ErrLost and changes nothing, so a
// late agent cannot write. Runs are not retried: a step may have had effects.
package lease

import (
	"context"
	"errors"
	"time"

	"github.com/acrux/acrux/internal/secret"
)

// ErrLost says that the lease is no longer the caller's: the deadline passed or
// the run ended. The agent stops its work and throws the result away.
var ErrLost = errors.New("the lease was lost")

// ErrCanceled says that a user asked for the run to be canceled. The agent stops
// the run and completes it with Canceled.
var ErrCanceled = errors.New("the run was canceled by a user")

// Leaser hands out runs and takes what comes of them. All methods may be called
// from many goroutines.
type Leaser interface {
	// Acquire waits for a queued run that fits the agent, marks it Started and
	// returns its lease. It ends with ctx's error when there was none in time.
	Acquire(ctx context.Context, agent Agent) (*Lease, error)

	// Renew moves the deadline and then waits: until half of the new term is over
	// (nil: call it again), until a user cancels (ErrCanceled), until the lease is
	// gone (ErrLost) or until ctx ends.
	Renew(ctx context.Context, key Key) error

	// Report tells how far the run is.
	Report(ctx context.Context, key Key, progress Progress) error

	// AppendLog appends p to the run's log at offset. A repeat of bytes that are
	// already there succeeds and changes nothing, so a call may be tried again;
	// a gap is an error. Lines end in CR LF.
	AppendLog(ctx context.Context, key Key, offset int64, p []byte) error

	// Token returns a token for one of the task's identities.
	Token(ctx context.Context, key Key, request TokenRequest) (AccessToken, error)

	// Complete ends the run and the lease. The last byte of the log must have been
	// appended before.
	Complete(ctx context.Context, key Key, result Result) error
}

// Agent says who asks for work and what it can execute.
type Agent struct {
	Name string // for people: shown in logs
	Pool string // agent pool; empty is the default pool
	OS   string // "linux"
	Arch string // Go's word: "amd64"
}

// Key names a lease in every call.
type Key struct {
	Run   string // ARM ID of the run
	Fence int64  // fencing token
}

// Lease is the right to execute one run until Deadline.
type Lease struct {
	Key
	Deadline time.Time
	Job      Job
}

// Job is a run as the agent needs it: pinned when the run was queued, so later
// changes of the task do not touch it. It holds secrets and is never stored in
// the clear.
type Job struct {
	RunID        string // "cf10"
	RegistryName string // "myregistry"
	RegistryID   string // ARM ID of the registry; empty without a server
	LoginServer  string // of the run's registry, as $Registry shows it
	TaskName     string // empty for quick runs
	TaskID       string // ARM ID of the task; empty for quick runs
	Step         Step
	Timeout      time.Duration // of the whole run, from now
	OS, Arch     string
	TriggeredBy  string // "Manual", "Commit", …
	Branch       string // whose change started the run; empty otherwise
	Repository   string // URL of the source whose change started the run; empty otherwise
	CreatedAt    time.Time
	Logins       []Login    // in the order in which the run logs in
	Identities   []Identity // what the run's identity endpoint may hand out
}

// StepKind says how a job is given.
type StepKind string

// The kinds of step, with Azure's words.
const (
	EncodedTask StepKind = "EncodedTask" // the task file itself
	FileTask    StepKind = "FileTask"    // a task file in the context
	Docker      StepKind = "Docker"      // one Dockerfile in the context
)

// Step is what to execute. Which fields count depends on Kind.
type Step struct {
	Kind         StepKind
	Context      string        // git or archive URL, or empty
	ContextToken secret.String // credential for Context
	Task         []byte        // EncodedTask: the file, decoded
	ValuesFile   []byte        // EncodedTask: the values file, decoded
	TaskPath     string        // FileTask: inside the context
	ValuesPath   string        // FileTask: inside the context
	Values       []Value       // EncodedTask and FileTask: set values
	Build        DockerBuild   // Docker
}

// DockerBuild is one build of a Dockerfile, pushed if asked for.
type DockerBuild struct {
	Dockerfile string
	Target     string
	Platform   string // of the image: OS/ARCHITECTURE[/VARIANT]; empty is the agent's
	Images     []string
	Push       bool
	NoCache    bool
	Arguments  []Value
}

// Value is a set value or a build argument.
type Value struct {
	Name   string
	Value  string
	Secret bool // masked in the log
}

// SystemIdentity is what a Login names the job's system-assigned identity by.
const SystemIdentity = "system"

// Login is a registry that the run logs in to before its first step. Identity is
// set, or Username and Password are.
type Login struct {
	Registry string
	Username secret.String
	Password secret.String
	Identity string // client ID of an identity of the task, or SystemIdentity
	// Aliases are other names of the same registry, good for the same credential.
	Aliases []string
	// Own marks the run's own registry, whose credential the control plane made for this run.
	Own bool
}

// Identity is a managed identity of the task. The three IDs are different things:
// ClientID names it in requests, PrincipalID is who it is in role assignments,
// ResourceID is where it lives.
type Identity struct {
	ClientID    string
	PrincipalID string
	ResourceID  string // empty for the system-assigned one
	Name        string // for people
	System      bool
}

// Stage is how far a run is.
type Stage string

// Running is reported when the first step is about to start.
const Running Stage = "Running"

// Progress is a report on the way.
type Progress struct {
	Stage Stage
	Steps []StepState
}

// StepState is the state of one step.
type StepState struct {
	ID       string
	State    string // skipped, inprogress, successful, failed
	Started  time.Time
	Finished time.Time
}

// TokenRequest asks for a token of one of the job's identities. At most one of the
// selectors is set; none means the system-assigned identity, or the only
// user-assigned one.
type TokenRequest struct {
	Audience    string // resource, as asked for
	ClientID    string
	PrincipalID string
	ResourceID  string
}

// AccessToken is a token and how long it counts.
type AccessToken struct {
	Token     secret.String
	ClientID  string
	NotBefore time.Time
	ExpiresAt time.Time
}

// Status is the final state of a run.
type Status string

// The final states. Error is a fault of ours, Failed is the user's.
const (
	Succeeded Status = "Succeeded"
	Failed    Status = "Failed"
	Canceled  Status = "Canceled"
	Timeout   Status = "Timeout"
	Error     Status = "Error"
)

// Result is how a run ended.
type Result struct {
	Status       Status
	Message      string // the reason, empty for Succeeded
	Cause        string // what failed first, where more is known of it than Message says
	Dependencies []Dependency
	Layers       Layers
}

// Layers counts what the builds of a run did: instructions that make layers, and how
// many of those the cache had.
type Layers struct {
	Total, Cached int
}

// Dependency is what one image of a build step was made from.
type Dependency struct {
	Image     *Image // nil for a build without a tag
	Runtime   *Image // nil for an image made from nothing, or from what is not known
	BuildTime []Image
	Commit    string // head revision of the git context, or empty
}

// Image is an image by name, with its digest where it is known.
type Image struct {
	Registry   string
	Repository string
	Tag        string
	Digest     string
}

// Package engine runs a plan: it walks the graph of steps, hands each to an
// Executor, keeps order, timeouts, retries and masking, and tells a Listener what
// happens. It executes other people's code and holds nothing worth stealing: it
// knows the control plane through lease.Leaser alone.
package engine

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
)

// Executor does what the steps of a run say. There is one for each kind of
// backend; every one passes the suite in enginetest.
type Executor interface {
	// Open makes the scope of one run: nothing of it is visible to other runs.
	// The caller closes the scope.
	Open(ctx context.Context, spec RunSpec) (Scope, error)
}

// RunSpec describes a run to an Executor.
type RunSpec struct {
	// ID is unique among the executor's runs, now and later, and fit for a file
	// name: letters, digits and dashes, at most 64.
	ID string
	// Workspace and Home are directories on this machine, mounted into every step
	// at /workspace and /acb/home. The caller owns them.
	Workspace string
	Home      string
	// SharedVolume is what steps call the workspace when they mount it in containers of
	// their own.
	SharedVolume string
	// Credentials answers for each registry host the run may meet.
	Credentials Credentials
	// OwnRegistry is the login server of the run's registry; empty if it has none.
	OwnRegistry string
	// Registries are hosts of this installation that the run has to do with. Programs that
	// look for the authority of a single registry find it.
	Registries []string
	// Identity serves the managed-identity endpoint of the run's steps. May be nil.
	Identity http.Handler
	// CacheScope is what builds share layers and cache mounts within, over many runs:
	// no build gets what was made outside of its own. Empty is this run alone.
	CacheScope string
	// Privileged lets its steps ask for privileged containers. Such a step controls the
	// machine, and with it whatever this process knows.
	Privileged bool
}

// Credentials gives a run's credential for a registry host ("name:port" if the
// port is not the default). It is safe for concurrent use.
type Credentials interface {
	Credential(host string) (Credential, bool)
}

// Credential is what a registry takes. A Username of all zeros (a GUID) says that
// the password is a refresh token of the registry.
type Credential struct {
	Username string
	Password secret.String
}

// Scope is one run inside an Executor. It owns everything the run makes there:
// networks, containers, volumes, images under the run's names. Methods may be
// called concurrently, for steps that run at the same time.
//
// A step that fails is an outcome: the reason was written to out, in the words a
// docker client would use, and the result says so. An error means that the
// executor could not do its work, or that ctx ended (then errors.Is(err,
// context.Cause(ctx)) holds).
type Scope interface {
	// CreateNetwork makes a network; steps on one network find each other by name.
	CreateNetwork(ctx context.Context, network Network) error
	// CreateVolume makes a volume with these files. Contents are secret: they are
	// kept in memory and seen only by the steps that mount the volume.
	CreateVolume(ctx context.Context, name string, files map[string][]byte) error
	// Build builds an image and keeps it under its tags for this run. Nothing is pushed.
	Build(ctx context.Context, build Build, out io.Writer) (BuildResult, error)
	// Command runs a container to its end, or starts it if it is detached.
	Command(ctx context.Context, command Command, out io.Writer) (CommandResult, error)
	// Push pushes an image that the run has built or pulled to the registry in its name.
	Push(ctx context.Context, image string, out io.Writer) (PushResult, error)
	// Close ends everything that still runs and removes all that the run made.
	Close() error
}

// Puller is a Scope that can pull an image before the container that needs it.
// Where a Scope is none, Command.Pull does the same without output of its own.
type Puller interface {
	// Pull asks the registry for image, also if the run has it.
	Pull(ctx context.Context, image string, out io.Writer) (PullResult, error)
}

// PullResult is how a pull ended.
type PullResult struct {
	OK      bool
	Digest  string
	Refused *registryclient.Refusal // why not, if a registry refused
}

// Network is a network of the run.
type Network struct {
	Name   string
	Driver string // "bridge" or empty
	IPv6   bool
}

// Build is one docker build. Paths are on this machine.
type Build struct {
	ContextDir string // absolute
	Dockerfile string // absolute; may lie outside of ContextDir
	Tags       []string
	Args       map[string]string
	Labels     map[string]string
	Target     string
	Platform   string // "linux/arm64"; empty is this machine's
	NoCache    bool
	Pull       bool              // always ask for base images; they are asked for anyway
	AddHosts   []string          // "name:address"
	Network    string            // "", "default", "none" or "host" (refused unless the executor allows it)
	Secrets    map[string][]byte // id → content, for RUN --mount=type=secret
	Keys       map[string][]byte // id → private key in PEM, for RUN --mount=type=ssh
	Mask       *secret.Mask      // what the image's history must not tell; nil is nothing
	// CacheFrom and CacheTo are caches in registries, with the options that docker has for
	// them; a cache of the kind inline goes into the image itself.
	CacheFrom, CacheTo []Cache
	// Contexts are images ("docker-image://…") and directories on this machine that the
	// Dockerfile may name.
	Contexts map[string]string
	ShmSize  int64    // bytes of /dev/shm in RUN; 0 is docker's default
	Ulimits  []string // "nofile=1024:2048"
	// BuildKit selects plain BuildKit output instead of the classic "Step i/N".
	BuildKit bool
}

// Cache is a build cache outside of this machine.
type Cache struct {
	Kind    string            // "registry", or "inline"
	Options map[string]string // "ref", "mode", …
}

// BuildResult is how a build ended.
type BuildResult struct {
	OK       bool
	ExitCode int    // of the build client: 0 or 1
	ImageID  string // digest of the image's configuration
	Digest   string // digest of the image's manifest, as it will be pushed
	Bases    []BaseImage
	Layers   Layers
	Refused  *registryclient.Refusal // why not, if a registry refused a base image
}

// Layers counts what a build did: the instructions that make layers, and how many of
// them were found in the cache.
type Layers struct {
	Total, Cached int
}

// BaseImage is an image that a Dockerfile named and the registry resolved, with
// this run's credentials.
type BaseImage struct {
	Reference string // as in the Dockerfile, arguments replaced
	Digest    string
}

// Command is one docker run.
type Command struct {
	Name          string // of the container: the step's id, its name on the network
	Image         string
	Args          []string
	Entrypoint    []string // nil is the image's; one empty string clears it
	Env           []string // K=V
	WorkingDir    string   // absolute; empty is the image's
	User          string
	Network       string // a network of the run, "host", "none" or "container:NAME"; empty is no name resolution
	Mounts        []Mount
	Privileged    bool
	Detach        bool
	Keep          bool // keep the container until Close, so that its name stays taken
	TTY           bool // docker run -t; nobody types, so an executor may do without
	Pull          bool // ask the registry even if the run has the image
	NoPull        bool // do not ask it if the run does not
	CPUs          float64
	Memory        int64 // bytes
	Ports, Expose []string
	Hosts         []string // "name:address"
	Aliases       []string // more names on its network
	Stdin         io.Reader
	Options       Options
}

// Mount puts a volume of the run into a container. Those of CreateVolume are read-only.
// Another that does not exist yet is made, with what the image has at the place, and
// stays until the run's end.
type Mount struct {
	Volume   string // its name, or one of the two below
	Path     string
	ReadOnly bool
}

// What every step sees may be mounted at other places, too.
const (
	WorkspaceVolume = "/workspace"
	HomeVolume      = "/acb/home"
)

// CommandResult is how a container ended; for a detached one, that it started.
type CommandResult struct {
	ExitCode    int
	OOMKilled   bool
	ContainerID string                  // 64 hex digits
	Refused     *registryclient.Refusal // why it was not started, if a registry refused its image
}

// PushResult is how a push ended.
type PushResult struct {
	OK      bool
	Digest  string
	Size    int64                   // of the manifest
	Refused *registryclient.Refusal // why not, if a registry refused
}

// KillGrace is how long a container has between TERM and KILL when its time is
// up. A user's cancel does not wait.
const KillGrace = time.Second

// Package taskfile turns the text of a task file, together with the values of a
// run, into a Plan: plain data that says which steps there are, what each does and
// what it waits for. It is pure: it opens no file, makes no connection and starts
// nothing; alias sources and vault secrets come from functions in Input.
//
// The stages, each in its own file, are those of Azure's runner, whose texts and
// defaults it keeps:
//
//	bytes ─ drop comments ─ find version ─ aliases ─ secrets ─ template ─ YAML ─ rules ─ graph ─▶ Plan
package taskfile

import (
	"encoding/base64"
	"errors"
	"path"
	"strconv"
	"time"
)

// Root is the start of the graph: the parent of steps that wait for nothing.
const Root = "acb_root"

// DefaultNetwork is made when a task file declares no network.
const DefaultNetwork = "acb_default_network"

// Directories as a step sees them.
const (
	WorkspaceDir = "/workspace"
	HomeDir      = "/acb/home"
)

// homeVolume names the volume behind HomeDir on a step's command line.
const homeVolume = "home"

// dockerSocket is mounted into every step by Azure's runner.
const dockerSocket = "/var/run/docker.sock"

// Plan is a task file, ready to run. It is not changed after it was made.
type Plan struct {
	Version      string
	AliasMode    bool   // version v1.1.0 or later, as the raw text says
	SharedVolume string // name of the workspace volume
	Steps        []Step // in file order
	Networks     []Network
	Volumes      []Volume
	// SecretValues are the vault secrets that went into the plan. They must be
	// masked in whatever is shown of the run.
	SecretValues []string
	// Warnings are for the run's log; none of them stops the run.
	Warnings []string
}

// Kind says what a step does.
type Kind string

// The kinds of step.
const (
	KindCmd   Kind = "cmd"
	KindBuild Kind = "build"
	KindPush  Kind = "push"
)

// Step is one step with all defaults applied.
type Step struct {
	ID    string
	Kind  Kind
	Cmd   string   // KindCmd: image and arguments, as a shell reads them
	Build Build    // KindBuild
	Push  []string // KindPush: image names, normalised, without duplicates

	Parents []string // what the step waits for: Root or IDs of earlier steps

	Timeout       time.Duration
	StartDelay    time.Duration
	Retries       int
	RetryDelay    time.Duration
	RetryOnErrors []string
	Repeat        int
	IgnoreErrors  bool

	WorkingDirectory                string // as written; see Workdir
	DisableWorkingDirectoryOverride bool
	EntryPoint                      string
	Env                             []string
	User                            string
	Network                         string
	Isolation                       string
	CPUs                            string
	Ports, Expose                   []string
	Privileged, Detach, Keep        bool
	Pull                            bool
	DownloadRetries                 int
	DownloadRetryDelay              time.Duration
	Cache                           string
	Mounts                          []Mount

	inserted []string // what templates have put into the file; see Step.Word
}

// Build is what the runner reads from a build step's string.
type Build struct {
	Text     string // the arguments of docker build; a remote context is still in it
	Tags     []string
	Args     []string // K=V, or K alone
	Context  Context
	BuildKit bool // DOCKER_BUILDKIT=1 is in the environment
	Cached   bool // the string was extended by cache options
}

// Mount puts a volume of the task into a step.
type Mount struct {
	Volume string
	Path   string
}

// Network is a declared network.
type Network struct {
	Name         string
	Driver       string
	IPv6         bool
	SkipCreation bool
	Default      bool
}

// Volume is a declared volume. File contents are still in Base64: a bad one is an
// error when the volume is made, not before.
type Volume struct {
	Name  string
	Files map[string]string
}

// Workdir is the directory in which a step works, as the step sees it. It is
// empty if the image's own directory applies.
func (s *Step) Workdir() string {
	if s.Kind == KindBuild && s.Build.Context.Remote() {
		return path.Join(WorkspaceDir, s.ID, s.Build.Context.Dir)
	}
	if s.DisableWorkingDirectoryOverride {
		return ""
	}
	if path.IsAbs(s.WorkingDirectory) {
		return path.Clean(s.WorkingDirectory)
	}
	return path.Join(WorkspaceDir, s.WorkingDirectory)
}

// TimeoutSeconds is the step's limit as the log shows it.
func (s *Step) TimeoutSeconds() string { return strconv.Itoa(int(s.Timeout / time.Second)) }

// Edges lists the graph as sorted "from -> to" lines would name it, unsorted.
func (p *Plan) Edges() []string {
	var edges []string
	for _, step := range p.Steps {
		for _, parent := range step.Parents {
			edges = append(edges, parent+" -> "+step.ID)
		}
	}
	return edges
}

var errBase64 = errors.New("failed to decode Base64 value. please make sure value provided is Base64 encoded")

// Decode returns the volume's files: what their Base64 stands for, and a line end
// after it. A value that is no Base64 is an error for the author.
func (v *Volume) Decode() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, text := range v.Files {
		content, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errBase64
		}
		files[name] = append(content, '\n')
	}
	return files, nil
}

// Levels are the steps in the order of the graph: those of a level wait for none of the
// same, and for at least one of the level before.
func (p *Plan) Levels() [][]string {
	level := map[string]int{Root: -1}
	var levels [][]string
	for _, step := range p.Steps {
		n := 0
		for _, parent := range step.Parents {
			n = max(n, level[parent]+1)
		}
		level[step.ID] = n
		if n == len(levels) {
			levels = append(levels, nil)
		}
		levels[n] = append(levels[n], step.ID)
	}
	return levels
}

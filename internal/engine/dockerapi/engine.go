package dockerapi

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/secret"
)

// Engine is a run, as its own containers may see and use it. Its methods are safe for
// concurrent use. Containers are named by full ID, except in Find. Errors that are the
// caller's fault are *problem.Error, with docker's words.
type Engine interface {
	// Find finds a container by name, ID or the beginning of one.
	Find(ref string) (Container, error)
	// Containers lists all containers, newest first.
	Containers() []Container
	// Create makes a container without starting it.
	Create(ctx context.Context, spec Spec) (id string, err error)
	// Start starts a container that was created. It is not started twice.
	Start(ctx context.Context, id string) error
	// Signal sends a signal to a running container's first process.
	Signal(id string, signal int) error
	// Remove removes a container that has ended or, by force, any.
	Remove(ctx context.Context, id string, force bool) error
	// Wait waits for the end of a container, or until it was removed, and returns how it
	// ended. A container that was never started is waited for, too.
	Wait(ctx context.Context, id string, removed bool) (exitCode int, err error)
	// Read gives what a container has written so far to emit, and with follow what it
	// writes until it ends.
	Read(ctx context.Context, id string, follow bool, emit func(Entry) error) error
	// Attach passes on what a container writes from now on, until it ends or ctx does, and
	// gives it input. Any of the three may be nil. ready is called once it listens.
	Attach(ctx context.Context, id string, streams Streams, ready func()) error
	// Exec runs a further process in a running container to its end.
	Exec(ctx context.Context, id string, exec Exec, streams Streams) (exitCode int, err error)

	// Images lists the images that the run has, by name.
	Images(ctx context.Context) ([]Image, error)
	// Image finds one by name or ID.
	Image(ctx context.Context, ref string) (Image, error)
	// Tag gives an image one more name.
	Tag(ctx context.Context, ref, name string) error
	// Untag takes a name away; the image goes with its last one.
	Untag(ctx context.Context, name string) error
	// Pull and Push talk to the registry, as a docker client would show it to out. A nil
	// login stands for the run's own credentials. A refusal was written to out and gives
	// false.
	Pull(ctx context.Context, name string, login *Login, out io.Writer) (bool, error)
	Push(ctx context.Context, name string, login *Login, out io.Writer) (bool, error)
	// Build builds an image from a directory that Directory has made.
	Build(ctx context.Context, build engine.Build, out io.Writer) (engine.BuildResult, error)
	// Directory makes an empty directory for a build's context. remove takes it away.
	Directory() (dir string, remove func(), err error)
	// Login checks a credential with its registry.
	Login(ctx context.Context, host string, login Login) error

	Networks() []Network
	CreateNetwork(ctx context.Context, network engine.Network) error
	RemoveNetwork(name string) error
	Volumes() []Volume
	CreateVolume(name string) error
	RemoveVolume(name string) error
}

// Spec is a container to be made.
type Spec struct {
	engine.Command // Detach and Keep are not looked at
	Labels         map[string]string
	AutoRemove     bool
	OpenStdin      bool // input may be attached
	StopSignal     int  // 0 is the image's, or TERM
	StopTimeout    *int // seconds before a container that is stopped is killed; nil is 10, less than 0 is never
}

// State is what a container is doing.
type State string

// The states, with docker's words.
const (
	Created State = "created"
	Running State = "running"
	Exited  State = "exited"
)

// Container is a container as it is at the moment.
type Container struct {
	ID, Name   string // the name is without docker's slash
	Spec       Spec
	ImageID    string // digest of the configuration
	State      State
	ExitCode   int
	OOMKilled  bool
	StopSignal int

	Created, Started, Finished time.Time

	Addr     netip.Addr    // on its network; invalid without one
	Ports    []engine.Port // as they are published
	Readable bool          // what it writes is kept
}

// Stream is one of the streams of a container, by docker's numbers.
type Stream byte

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Entry is a piece of output.
type Entry struct {
	Stream Stream
	Time   time.Time
	Data   []byte
}

// Streams are those of a client. Any may be nil.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Exec is a further process in a container.
type Exec struct {
	Args       []string
	Env        []string
	WorkingDir string
	User       string
}

// Image is an image under one of its names.
type Image struct {
	Name     string // as people write it; empty if it has none
	ID       string // digest of the configuration
	Digest   string // of the manifest or index
	Config   []byte // JSON, as stored
	Size     int64  // of the layers, as they are transferred
	Complete bool
}

// Login is a credential for a registry.
type Login struct {
	Username string
	Password secret.String
}

// Network is a network of the run.
type Network struct {
	Name   string
	Subnet netip.Prefix
	IPv6   netip.Prefix // invalid without
}

// Volume is a volume of the run.
type Volume struct {
	Name   string
	Secret bool // made of the task file
}

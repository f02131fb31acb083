//go:build linux && cgo

package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// Runtime runs containers. It is safe for concurrent use.
type Runtime struct {
	state  string // directory of libcontainer's own state, one entry for each container
	cgroup string // name of the control group that all containers are below
	// rootless is whether root is that of a user namespace, who may not make control
	// groups: then nothing is limited.
	rootless bool

	mu     sync.Mutex
	groups map[*Group]bool // open ones
}

// New returns a runtime that keeps its state in root, which it makes if need be.
// No two processes may use one root at the same time.
func New(root string) (*Runtime, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of container states: %w", err)
	}
	return &Runtime{state: root, cgroup: CgroupName(root), rootless: userns.Inside(), groups: map[*Group]bool{}}, nil
}

// Limits reports whether processors, memory and processes of containers can be limited.
func (r *Runtime) Limits() bool { return !r.rootless }

// CgroupName is the name of the control group of the runtime at root: it differs
// from root to root, and is the same again after a restart.
func CgroupName(root string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(root)))
	return "acrux-" + hex.EncodeToString(sum[:6])
}

// Process is one container to run: its first process is its life.
type Process struct {
	ID     string      // unique in the runtime: letters, digits, "_", "+", "-", "."
	Spec   *specs.Spec // names no user namespace: that is User
	User   User
	Stdin  io.Reader // may be nil
	Stdout io.Writer // may be nil; so may Stderr. If both are the same, writes do not overlap
	Stderr io.Writer
	// Grace is how long the process has between TERM and KILL after ctx ran into
	// its deadline. A ctx that was cancelled kills at once.
	Grace time.Duration
	// Created is called when the container is there and runs nothing yet, with the number of
	// its first process: /proc/PID/ns has its namespaces. May be nil.
	Created func(pid int) error
	// Started is called once the process runs. May be nil.
	Started func(*Handle)
}

// User is the user namespace that a container is in. The zero value is the one of this
// process.
type User struct {
	IDs       userns.IDs
	Namespace string // file of one with these IDs; empty is a new one
}

// Exit is how a container ended.
type Exit struct {
	Code int  // 128 + n after signal n
	OOM  bool // the kernel killed something in it for want of memory
}

// StartError says that a container's process could not be started, for a reason
// that lies in the image or the command. Code is what a docker client exits with.
type StartError struct {
	Code int
	Err  error
}

// Error implements error.
func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// Run starts a container and waits for its end, which it brings about when ctx
// ends; then the error is ctx's cause. Nothing of the container is left when it
// returns. A process that could not be started gives a *StartError. Where p.Spec says
// nothing about processes and memory, Run sets bounds.
func (r *Runtime) Run(ctx context.Context, p Process) (_ Exit, err error) {
	if ctx.Err() != nil {
		return Exit{}, context.Cause(ctx)
	}
	if r.rootless {
		unlimited(p.Spec)
	} else {
		limit(p.Spec)
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: p.ID, Spec: p.Spec, RootlessCgroups: r.rootless})
	if err != nil {
		return Exit{}, fmt.Errorf("reading the container's spec: %w", err)
	}
	p.User.join(config)
	c, err := libcontainer.Create(r.state, p.ID, config)
	if err != nil {
		return Exit{}, fmt.Errorf("creating the container: %w", err)
	}
	defer func() {
		if e := c.Destroy(); e != nil && err == nil {
			err = fmt.Errorf("removing the container: %w", e)
		}
	}()
	return r.run(ctx, c, p)
}

func (r *Runtime) run(ctx context.Context, c *libcontainer.Container, p Process) (Exit, error) {
	proc, release, err := process(p)
	if err != nil {
		return Exit{}, err
	}
	defer release()
	if err := start(c, proc); err != nil {
		return Exit{}, outOfMemory(c, startError(err))
	}
	if err := letRun(c, proc, p.Created); err != nil {
		c.Signal(unix.SIGKILL)
		proc.Wait()
		return Exit{}, outOfMemory(c, err)
	}
	if p.Started != nil {
		p.Started(&Handle{c: c, own: proc})
	}
	ended := make(chan struct{})
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(killed); kill(ctx, c, p.Grace, ended) })
	code, err := wait(proc)
	close(ended)
	if !stop() {
		<-killed
		return Exit{}, context.Cause(ctx)
	}
	return Exit{Code: code, OOM: oomKilled(c)}, err
}

// letRun lets a container that was created run.
func letRun(c *libcontainer.Container, proc *libcontainer.Process, created func(pid int) error) error {
	if created != nil {
		pid, err := proc.Pid()
		if err == nil {
			err = created(pid)
		}
		if err != nil {
			return fmt.Errorf("preparing a container: %w", err)
		}
	}
	return startError(c.Exec())
}

// outOfMemory tells of a container that could not be started because the kernel killed its
// first process, which is this program until the container's own one takes its place.
// Whatever err says is what came of that.
func outOfMemory(c *libcontainer.Container, err error) error {
	if !oomKilled(c) {
		return err
	}
	return &StartError{Code: 125, Err: fmt.Errorf("container init was OOM-killed (memory limit too low?): %w", err)}
}

// process turns p into libcontainer's form. The standard input goes through a pipe
// of ours: waiting for the process must not mean waiting for a reader that never
// ends.
func process(p Process) (*libcontainer.Process, func(), error) {
	sp := p.Spec.Process
	limits, err := rlimits(sp.Rlimits)
	if err != nil {
		return nil, nil, err
	}
	proc := &libcontainer.Process{
		Args: sp.Args, Env: sp.Env, Cwd: sp.Cwd,
		UID: int(sp.User.UID), GID: int(sp.User.GID),
		Stdout: p.Stdout, Stderr: p.Stderr,
		Init: true, LogLevel: "2", Rlimits: limits,
	}
	for _, gid := range sp.User.AdditionalGids {
		proc.AdditionalGroups = append(proc.AdditionalGroups, int(gid))
	}
	release, err := feed(proc, p.Stdin)
	return proc, release, err
}

// feed gives a process its standard input, which may be nil.
func feed(proc *libcontainer.Process, stdin io.Reader) (release func(), err error) {
	if stdin == nil {
		return func() {}, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the pipe for standard input: %w", err)
	}
	go func() {
		defer write.Close()
		io.Copy(write, stdin) // ends with the reader, or with the process: then writing fails
	}()
	proc.Stdin = read
	return func() { read.Close() }, nil
}

// kill ends a container: politely first if its time was up, at once otherwise.
func kill(ctx context.Context, c *libcontainer.Container, grace time.Duration, ended <-chan struct{}) {
	if grace > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if c.Signal(unix.SIGTERM) == nil {
			timer := time.NewTimer(grace)
			defer timer.Stop()
			select {
			case <-ended:
				return
			case <-timer.C:
			}
		}
	}
	c.Signal(unix.SIGKILL) // fails only if the process is gone
}

func wait(proc *libcontainer.Process) (int, error) {
	state, err := proc.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("waiting for the container: %w", err)
	}
	if state == nil {
		state = exit.ProcessState
	}
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// startError sorts what libcontainer says about a process that would not start;
// it says so in words only.
func startError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("executable file not found", "no such file or directory"):
		return &StartError{Code: 127, Err: err}
	case has("permission denied", "not a directory", "is a directory"):
		return &StartError{Code: 126, Err: err}
	}
	return &StartError{Code: 125, Err: err}
}

//go:build linux && cgo

package container

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/user"
	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

// Handle is a container that runs. Once it has ended its methods fail. It is safe for
// concurrent use.
type Handle struct {
	c   *libcontainer.Container
	own *libcontainer.Process // the first one
}

// Signal sends a signal to the container's first process.
func (h *Handle) Signal(s unix.Signal) error {
	if err := h.c.Signal(s); err != nil {
		return fmt.Errorf("signalling a container: %w", err)
	}
	return nil
}

// Exec is a further process of a container.
type Exec struct {
	Args       []string
	Env        []string  // K=V, beside the container's
	WorkingDir string    // empty is the container's
	User       string    // empty is the container's
	Stdin      io.Reader // may be nil, as may be the others
	Stdout     io.Writer
	Stderr     io.Writer
}

// Exec runs a process in the container to its end, which it brings about when ctx ends;
// then the error is ctx's cause. One that could not be started gives a *StartError.
func (h *Handle) Exec(ctx context.Context, e Exec) (Exit, error) {
	proc := &libcontainer.Process{
		Args: e.Args, Env: slices.Concat(h.own.Env, e.Env), Cwd: h.own.Cwd,
		Stdout: e.Stdout, Stderr: e.Stderr, LogLevel: "2",
	}
	if e.WorkingDir != "" {
		proc.Cwd = path.Join("/", e.WorkingDir)
	}
	if err := h.become(proc, e.User); err != nil {
		return Exit{}, err
	}
	release, err := feed(proc, e.Stdin)
	if err != nil {
		return Exit{}, err
	}
	defer release()
	if err := h.c.Run(proc); err != nil {
		return Exit{}, startError(err)
	}
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(killed); _ = proc.Signal(unix.SIGKILL) }) // fails only if it is gone
	code, err := wait(proc)
	if !stop() {
		<-killed
		return Exit{}, context.Cause(ctx)
	}
	return Exit{Code: code}, err
}

// become makes a process that of a user: the container's own, or one that its files know.
func (h *Handle) become(proc *libcontainer.Process, name string) error {
	proc.UID, proc.GID, proc.AdditionalGroups = h.own.UID, h.own.GID, h.own.AdditionalGroups
	if name == "" {
		return nil
	}
	state, err := h.c.OCIState()
	if err != nil {
		return fmt.Errorf("looking at a container: %w", err)
	}
	// The files are the container's, and must not lead out of it.
	root, err := os.OpenRoot(fmt.Sprintf("/proc/%d/root", state.Pid))
	if err != nil {
		return fmt.Errorf("looking into a container: %w", err)
	}
	defer root.Close()
	passwd, group := readable(root, "etc/passwd"), readable(root, "etc/group")
	defer passwd.Close()
	defer group.Close()
	found, err := user.GetExecUser(name, &user.ExecUser{}, passwd, group)
	if err != nil {
		return &StartError{Code: 126, Err: fmt.Errorf("unable to find user %s: %w", name, err)}
	}
	proc.UID, proc.GID, proc.AdditionalGroups = found.Uid, found.Gid, found.Sgids
	return nil
}

// readable opens an ordinary file. One that cannot be had is empty.
func readable(root *os.Root, name string) io.ReadCloser {
	if info, err := root.Stat(name); err == nil && info.Mode().IsRegular() {
		if file, err := root.Open(name); err == nil {
			return file
		}
	}
	return io.NopCloser(strings.NewReader(""))
}

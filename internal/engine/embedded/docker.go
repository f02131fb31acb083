//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/dockerapi"
	"github.com/acrux/acrux/internal/engine/runimages"
	"github.com/acrux/acrux/internal/sandbox/container"
)

// dockerEngine is a run as its own steps see it through Docker's API.
type dockerEngine struct{ *Scope }

var _ dockerapi.Engine = dockerEngine{}

// dockerSocket is where steps find the API.
const dockerSocket = "/var/run/docker.sock"

// maxDockerConnections is how many connections of steps there are at once; more wait.
const maxDockerConnections = 256

// socketPath is the socket on this machine.
func (s *Scope) socketPath() string { return filepath.Join(s.dir, "docker.sock") }

// serveDocker offers Docker's API on a socket of the run's own.
func (s *Scope) serveDocker() error {
	listener, err := listenUnix(s.dir, "docker.sock")
	if err != nil {
		return err
	}
	handler := dockerapi.New(dockerEngine{s}, s.executor.log)
	s.docker = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, done, err := s.begin(r.Context())
			if err != nil {
				http.Error(w, `{"message":"the run ends"}`, http.StatusServiceUnavailable)
				return
			}
			defer done()
			handler.ServeHTTP(w, r.WithContext(ctx))
		}),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.executor.log.Handler(), slog.LevelDebug),
	}
	// Each connection is a file of this process.
	limited := netutil.LimitListener(listener, maxDockerConnections)
	s.work.Go(func() { s.docker.Serve(limited) }) // ends with the server
	return nil
}

// listenUnix listens on a socket that every user may connect to who sees it. The path is
// short however deep the directory lies: an address has 108 bytes.
func listenUnix(dir, name string) (net.Listener, error) {
	parent, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the run's directory: %w", err)
	}
	defer parent.Close()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", parent.Fd(), name)})
	if err != nil {
		return nil, fmt.Errorf("listening for the run's steps: %w", err)
	}
	listener.SetUnlinkOnClose(false) // the name is another's by then; it goes with the directory
	if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("opening a socket to the run's steps: %w", err), listener.Close())
	}
	return listener, nil
}

// Find implements dockerapi.Engine.
func (e dockerEngine) Find(ref string) (dockerapi.Container, error) {
	x, err := e.box(ref)
	if err != nil {
		return dockerapi.Container{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return x.show(), nil
}

// Create implements dockerapi.Engine.
func (e dockerEngine) Create(ctx context.Context, spec dockerapi.Spec) (string, error) {
	command := &spec.Command
	command.Detach, command.Keep, command.NoPull = true, !spec.AutoRemove, true
	if err := e.runMounts(command); err != nil {
		return "", err
	}
	for _, step := range []func() error{func() error { return check(*command) }, func() error { return e.permit(*command) }} {
		if err := step(); err != nil {
			return "", apiError(err)
		}
	}
	if _, err := e.image(ctx, *command, io.Discard); err != nil {
		return "", apiError(err)
	}
	x := &box{name: spec.Name, spec: spec, bare: true}
	if spec.OpenStdin {
		x.input = newInput()
	}
	if err := e.take(x); err != nil {
		return "", apiError(err)
	}
	var err error
	if x.journal, err = newJournal(filepath.Join(e.dir, x.id+".journal")); err != nil {
		return "", errors.Join(err, e.release(x))
	}
	return x.id, nil
}

// runMounts finds the run's directories among the volumes of a container, and refuses what
// is none of the run's.
func (e dockerEngine) runMounts(command *engine.Command) error {
	var mounts []engine.Mount
	for _, m := range command.Mounts {
		switch {
		case m.Volume == dockerSocket:
			if m.Path != dockerSocket {
				return problem.New(problem.Unsupported, "NotOffered", "the socket %s is offered at that path only", dockerSocket)
			}
			continue
		case m.Volume == engine.WorkspaceVolume || m.Volume == e.spec.SharedVolume && m.Volume != "":
			m.Volume = engine.WorkspaceVolume
		case m.Volume == engine.HomeVolume || m.Volume == "home":
			m.Volume = engine.HomeVolume
		case strings.Contains(m.Volume, "/"):
			return problem.New(problem.Denied, "NotOffered", "the path %s cannot be mounted: a step sees nothing of the machine; what steps share is in %s, and in volumes by name", m.Volume, engine.WorkspaceVolume)
		case !containerName.MatchString(m.Volume):
			return problem.New(problem.Invalid, "BadVolume", "%q includes invalid characters for a local volume name", m.Volume)
		}
		mounts = append(mounts, m)
	}
	command.Mounts = mounts
	return nil
}

// apiError puts an outcome in the API's terms.
func apiError(err error) error {
	var no *runimages.Outcome
	if !errors.As(err, &no) {
		return err
	}
	text := strings.TrimPrefix(no.Text, "docker: ")
	kind := problem.Invalid
	switch {
	case strings.HasPrefix(text, "Conflict."):
		kind = problem.Conflict
	case strings.HasPrefix(text, "No such"):
		kind = problem.NotFound
	case strings.Contains(text, noPrivilege):
		kind = problem.Denied
	}
	return problem.New(kind, "Refused", "%s", text)
}

// Start implements dockerapi.Engine.
func (e dockerEngine) Start(ctx context.Context, id string) error {
	x, err := e.box(id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	fresh := x.state == dockerapi.Created && !x.busy
	x.busy = true
	e.mu.Unlock()
	if !fresh {
		return problem.New(problem.Unsupported, "NotOffered", "starting container %s a second time is not offered: create another", x.name)
	}
	err = e.launch(ctx, x, func() (*bundle, error) { return e.prepare(e.life, x, io.Discard) }, func(b *bundle) error { return e.finish(x, b) })
	return apiError(err)
}

// Signal implements dockerapi.Engine.
func (e dockerEngine) Signal(id string, number int) error {
	x, err := e.box(id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	handle := x.handle
	e.mu.Unlock()
	if handle == nil || handle.Signal(unix.Signal(number)) != nil {
		return problem.New(problem.Conflict, "NotRunning", "container %s is not running", id)
	}
	return nil
}

// Remove implements dockerapi.Engine.
func (e dockerEngine) Remove(ctx context.Context, id string, force bool) error {
	x, err := e.box(id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	end, busy := x.end, x.busy || x.state == dockerapi.Running
	ended := x.state == dockerapi.Exited
	e.mu.Unlock()
	if busy && !ended {
		if !force {
			return problem.New(problem.Conflict, "Running", "cannot remove container \"/%s\": container is running: stop the container before removing or force remove", x.name)
		}
		if end != nil {
			end(errRemoved)
		}
		select {
		case <-x.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return e.release(x)
}

// Wait implements dockerapi.Engine.
func (e dockerEngine) Wait(ctx context.Context, id string, removed bool) (int, error) {
	x, err := e.box(id)
	if err != nil {
		return 0, err
	}
	until := x.done
	if removed {
		until = x.gone
	}
	select {
	case <-until:
	case <-x.gone: // without having run, perhaps
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return x.exit.Code, nil
}

// Read implements dockerapi.Engine.
func (e dockerEngine) Read(ctx context.Context, id string, follow bool, emit func(dockerapi.Entry) error) error {
	x, err := e.box(id)
	if err != nil {
		return err
	}
	return x.journal.read(ctx, follow, emit)
}

// Attach implements dockerapi.Engine.
func (e dockerEngine) Attach(ctx context.Context, id string, streams dockerapi.Streams, ready func()) error {
	x, err := e.box(id)
	if err != nil {
		return err
	}
	listener := x.journal.attach(streams.Stdout, streams.Stderr)
	defer x.journal.detach(listener)
	if streams.Stdin != nil && x.input != nil {
		go func() {
			_, _ = io.Copy(x.input.into, streams.Stdin) // ends with either side
			x.input.into.Close()
		}()
	}
	ready()
	select {
	case <-x.done:
		return nil
	case <-x.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Exec implements dockerapi.Engine.
func (e dockerEngine) Exec(ctx context.Context, id string, exec dockerapi.Exec, streams dockerapi.Streams) (int, error) {
	ctx, done, err := e.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	x, err := e.box(id)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	handle := x.handle
	e.mu.Unlock()
	if handle == nil {
		return 0, problem.New(problem.Conflict, "NotRunning", "container %s is not running", id)
	}
	exit, err := handle.Exec(ctx, container.Exec{
		Args: exec.Args, Env: exec.Env, WorkingDir: exec.WorkingDir, User: exec.User,
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	})
	var start *container.StartError
	if errors.As(err, &start) {
		return start.Code, problem.New(problem.Invalid, "NotStarted", "OCI runtime exec failed: %v", start.Err)
	}
	return exit.Code, err
}

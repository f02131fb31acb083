package dockerapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/acrux/acrux/internal/arm/problem"
)

// exec is a further process that was announced.
type exec struct {
	id, container string
	exec          Exec
	tty           bool
	stdin         bool
	stdout        bool
	stderr        bool

	// Under the handler's lock.
	started, running bool
	code             int
}

func (h *Handler) createExec(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	var body struct {
		AttachStdin, AttachStdout, AttachStderr, Tty, Privileged bool
		User, WorkingDir                                         string
		Env, Cmd                                                 []string
	}
	if err := execShape.read(w, r, &body); err != nil {
		return err
	}
	switch {
	case body.Privileged:
		return notOffered("a privileged process in a container")
	case len(body.Cmd) == 0:
		return problem.New(problem.Invalid, "NoCommand", "No exec command specified")
	case c.State != Running:
		return problem.New(problem.Conflict, "NotRunning", "container %s is not running", c.ID)
	}
	var id [32]byte
	rand.Read(id[:]) // never fails
	e := &exec{
		id: hex.EncodeToString(id[:]), container: c.ID, tty: body.Tty, stdin: body.AttachStdin, stdout: body.AttachStdout, stderr: body.AttachStderr,
		exec: Exec{Args: body.Cmd, Env: withValues(body.Env), WorkingDir: body.WorkingDir, User: body.User},
	}
	h.remember(e)
	answer(w, http.StatusCreated, map[string]string{"Id": e.id})
	return nil
}

// remember keeps a process that was announced, and forgets the oldest that has ended.
func (h *Handler) remember(e *exec) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.execs[e.id] = e
	h.order = append(h.order, e.id)
	for len(h.order) > maxExecs {
		delete(h.execs, h.order[0])
		h.order = h.order[1:]
	}
}

func (h *Handler) exec(id string) (*exec, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.execs[id]; e != nil {
		return e, nil
	}
	return nil, problem.New(problem.NotFound, "NoSuchExec", "No such exec instance: %s", id)
}

// begin marks a process as started, once.
func (h *Handler) begin(e *exec) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.started {
		return problem.New(problem.Conflict, "Started", "Error: Exec command %s is already running", e.id)
	}
	e.started, e.running = true, true
	return nil
}

func (h *Handler) finishExec(e *exec, code int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.running, e.code = false, code
}

func (h *Handler) startExec(w http.ResponseWriter, r *http.Request) error {
	e, err := h.exec(r.PathValue("id"))
	if err != nil {
		return err
	}
	var body struct{ Detach, Tty bool }
	if err := startShape.read(w, r, &body); err != nil {
		return err
	}
	if err := h.begin(e); err != nil {
		return err
	}
	if body.Detach {
		// The process outlives the request; the container's end is its own.
		go h.runExec(context.WithoutCancel(r.Context()), e, Streams{})
		w.WriteHeader(http.StatusOK)
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	stop := context.AfterFunc(r.Context(), func() { cancel(context.Cause(r.Context())) })
	defer stop()
	conn, head, done, err := hijack(ctx, w, r, e.tty)
	if err != nil {
		h.finishExec(e, dockerFailed)
		return err
	}
	defer done()
	head()
	var streams Streams
	stdout, stderr := outputs(conn, e.tty)
	if e.stdout {
		streams.Stdout = stdout
	}
	if e.stderr {
		streams.Stderr = stderr
	}
	if e.stdin {
		streams.Stdin = conn
	}
	h.runExec(ctx, e, streams)
	return nil
}

// What a process exits with that could not be started.
const dockerFailed = 126

func (h *Handler) runExec(ctx context.Context, e *exec, streams Streams) {
	code, err := h.engine.Exec(ctx, e.container, e.exec, streams)
	var p *problem.Error
	if errors.As(err, &p) {
		code = max(code, dockerFailed)
		if streams.Stderr != nil {
			_, _ = streams.Stderr.Write([]byte(p.Message + "\n")) // there is nobody to tell
		}
	} else if err != nil {
		code = max(code, dockerFailed)
		h.log.Debug("a process in a container did not end by itself", "container", e.container, "error", err)
	}
	h.finishExec(e, code)
}

func (h *Handler) inspectExec(w http.ResponseWriter, r *http.Request) error {
	e, err := h.exec(r.PathValue("id"))
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var code any
	if e.started && !e.running {
		code = e.code
	}
	answer(w, http.StatusOK, map[string]any{
		"ID": e.id, "ContainerID": e.container, "Running": e.running, "ExitCode": code, "OpenStdin": e.stdin, "OpenStdout": e.stdout, "OpenStderr": e.stderr,
		"ProcessConfig": map[string]any{"entrypoint": e.exec.Args[0], "arguments": e.exec.Args[1:], "tty": e.tty, "user": e.exec.User, "privileged": false},
	})
	return nil
}

package dockerapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// frames writes streams one after the other, each piece with its stream and length before
// it. https://docs.docker.com/reference/api/engine/ (ContainerAttach, stream format)
type frames struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frames) stream(s Stream) io.Writer { return frameWriter{f, s} }

type frameWriter struct {
	*frames
	stream Stream
}

// Write implements io.Writer.
func (f frameWriter) Write(p []byte) (int, error) {
	header := [8]byte{0: byte(f.stream)}
	binary.BigEndian.PutUint32(header[4:], uint32(len(p)))
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.w.Write(append(header[:], p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// serial lets several goroutines write.
type serial struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serial) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// outputs are writers for both streams to one connection: raw where the client believes
// in a terminal, in frames otherwise.
func outputs(w io.Writer, raw bool) (stdout, stderr io.Writer) {
	if raw {
		one := &serial{w: w}
		return one, one
	}
	f := &frames{w: w}
	return f.stream(Stdout), f.stream(Stderr)
}

// hijacked is a connection that is no longer HTTP's.
type hijacked struct {
	net.Conn
	ahead *bufio.Reader // has what HTTP read too much
}

// Read implements io.Reader. It goes around HTTP's reader, which ends the request's
// context with the client's input, when the output is yet to come.
func (h *hijacked) Read(p []byte) (int, error) {
	if n := h.ahead.Buffered(); n > 0 {
		return h.ahead.Read(p[:min(n, len(p))])
	}
	return h.Conn.Read(p)
}

// hijack takes the connection over, for what comes after head was called. It is closed
// when ctx ends.
func hijack(ctx context.Context, w http.ResponseWriter, r *http.Request, raw bool) (_ *hijacked, head, done func(), err error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("taking a connection over: %w", err)
	}
	_ = conn.SetDeadline(time.Time{}) // cannot fail on an open connection
	content := contentFrames
	if raw || r.Header.Get("Upgrade") == "" {
		content = contentStream
	}
	text := "HTTP/1.1 200 OK\r\nContent-Type: " + content + "\r\n\r\n"
	if r.Header.Get("Upgrade") != "" {
		text = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + content + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	head = func() { _, _ = io.WriteString(conn, text) } // what comes next fails as well
	return &hijacked{conn, buffered.Reader}, head, func() { stop(); conn.Close() }, nil
}

// attach connects a client with a container's streams.
func (h *Handler) attach(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	query := r.URL.Query()
	if flag(r, "logs") {
		return notOffered("attaching to what was written before")
	}
	if query.Get("detachKeys") != "" && c.Spec.TTY {
		return notOffered("detaching from a container by keys")
	}
	if !c.Readable {
		return problem.New(problem.Conflict, "NotReadable", "container %s is a step: what it writes goes to the log of the run", c.Name)
	}
	// What came with the request ends with it.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	stop := context.AfterFunc(r.Context(), func() { cancel(context.Cause(r.Context())) })
	defer stop()
	conn, head, done, err := hijack(ctx, w, r, c.Spec.TTY)
	if err != nil {
		return err
	}
	defer done()
	var streams Streams
	stdout, stderr := outputs(conn, c.Spec.TTY)
	if flag(r, "stdout") {
		streams.Stdout = stdout
	}
	if flag(r, "stderr") {
		streams.Stderr = stderr
	}
	if flag(r, "stdin") && c.Spec.OpenStdin {
		streams.Stdin = conn
	}
	// The client starts the container once it has the head: it must not miss anything.
	if err := h.engine.Attach(ctx, c.ID, streams, head); err != nil {
		h.log.Debug("a client was detached", "container", c.ID, "error", err)
	}
	return nil
}

// logs shows what a container has written.
func (h *Handler) logs(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	query := r.URL.Query()
	if !flag(r, "stdout") && !flag(r, "stderr") {
		return problem.New(problem.Invalid, "NoStream", "Bad parameters: you must choose at least one stream")
	}
	since, err := parseMoment(query.Get("since"))
	if err != nil {
		return err
	}
	until, err := parseMoment(query.Get("until"))
	if err != nil {
		return err
	}
	if !c.Readable {
		return problem.New(problem.Unsupported, "NotReadable", "configured logging driver does not support reading: container %s is a step, whose output is in the log of the run", c.Name)
	}
	l := &logReader{since: since, until: until, stamps: flag(r, "timestamps"), want: map[Stream]bool{Stdout: flag(r, "stdout"), Stderr: flag(r, "stderr")}}
	if skip, err := h.skipped(r.Context(), c.ID, l, query.Get("tail")); err != nil {
		return err
	} else {
		l.skip = skip
	}
	content := contentFrames
	if c.Spec.TTY {
		content = contentStream
	}
	w.Header().Set("Content-Type", content)
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	stdout, stderr := outputs(w, c.Spec.TTY)
	l.emit = func(s Stream, p []byte) error {
		to := stdout
		if s == Stderr {
			to = stderr
		}
		if _, err := to.Write(p); err != nil {
			return err
		}
		return flush.Flush()
	}
	_ = flush.Flush() // there is nobody to tell
	if err := h.engine.Read(r.Context(), c.ID, flag(r, "follow"), l.entry); err != nil {
		h.log.Debug("the log of a container was not read to its end", "container", c.ID, "error", err)
	}
	return l.rest()
}

// parseMoment reads a time as seconds, with a fraction or not.
func parseMoment(text string) (time.Time, error) {
	if text == "" || text == "0" {
		return time.Time{}, nil
	}
	seconds, fraction, _ := strings.Cut(text, ".")
	whole, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return at, nil
		}
		return time.Time{}, problem.New(problem.Invalid, "BadTime", "invalid time: %s", text)
	}
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64) // what is no number is none
	return time.Unix(whole, nanos), nil
}

// skipped counts the lines that are not shown because only the last ones are wanted.
func (h *Handler) skipped(ctx context.Context, id string, l *logReader, tail string) (int, error) {
	if tail == "" || tail == "all" {
		return 0, nil
	}
	wanted, err := strconv.Atoi(tail)
	if err != nil || wanted < 0 {
		return 0, nil // as docker has it
	}
	lines := 0
	counting := *l
	counting.partial = map[Stream][]byte{}
	counting.stamps, counting.emit = false, func(Stream, []byte) error { lines++; return nil }
	if err := h.engine.Read(ctx, id, false, counting.entry); err != nil {
		return 0, err
	}
	if err := counting.rest(); err != nil {
		return 0, err
	}
	return max(0, lines-wanted), nil
}

// logReader makes lines of entries.
type logReader struct {
	since, until time.Time
	stamps       bool
	want         map[Stream]bool
	skip         int // lines
	emit         func(Stream, []byte) error

	partial map[Stream][]byte
	last    time.Time
}

func (l *logReader) entry(e Entry) error {
	if !l.want[e.Stream] || e.Time.Before(l.since) || !l.until.IsZero() && e.Time.After(l.until) {
		return nil
	}
	if l.partial == nil {
		l.partial = map[Stream][]byte{}
	}
	l.last = e.Time
	text := append(l.partial[e.Stream], e.Data...)
	for {
		end := lineEnd(text)
		if end == 0 {
			break
		}
		if err := l.line(e.Stream, text[:end]); err != nil {
			return err
		}
		text = text[end:]
	}
	l.partial[e.Stream] = append([]byte(nil), text...)
	return nil
}

// maxLine is how much is held back for the end of a line. A longer one comes in pieces.
const maxLine = 64 << 10

// lineEnd is the end of the first line of a text, or 0 if that is yet to come.
func lineEnd(text []byte) int {
	if end := bytes.IndexByte(text, '\n') + 1; end > 0 {
		return end
	}
	if len(text) >= maxLine {
		return len(text)
	}
	return 0
}

func (l *logReader) line(s Stream, text []byte) error {
	if l.skip > 0 {
		l.skip--
		return nil
	}
	if l.stamps {
		text = append([]byte(l.last.UTC().Format(time.RFC3339Nano)+" "), text...)
	}
	return l.emit(s, text)
}

// rest emits lines without an end.
func (l *logReader) rest() error {
	for _, s := range []Stream{Stdout, Stderr} {
		if text := l.partial[s]; len(text) > 0 {
			if err := l.line(s, text); err != nil {
				return nil // whoever asked is gone
			}
		}
	}
	return nil
}

package engine

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acrux/acrux/internal/secret"
)

// Log writes the log of a run: stamped lines of the runner and the output of
// containers, masked, each line in one piece although steps run at the same time.
// Lines end in LF. An error of the writer below is kept and ends nothing: the run
// goes on although nobody can read of it.
type Log struct {
	mu   sync.Mutex
	w    io.Writer
	mask *secret.Mask
	said atomic.Int64 // bytes that containers have written
}

// NewLog returns a log that writes to w. Secrets may be added to mask at any time.
func NewLog(w io.Writer, mask *secret.Mask) *Log { return &Log{w: w, mask: mask} }

// stampFormat is the time at the start of a runner's line, in UTC.
const stampFormat = "2006/01/02 15:04:05 "

// Printf writes a stamped line.
func (l *Log) Printf(format string, args ...any) {
	l.write(time.Now().UTC().Format(stampFormat) + l.mask.Text(fmt.Sprintf(format, args...)) + "\n")
}

// Plain writes text, which may have several lines, without a stamp.
func (l *Log) Plain(text string) { l.write(l.mask.Text(text) + "\n") }

func (l *Log) write(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.w, text)
}

// Output returns what takes the output of one container. The caller closes it, which
// ends an unfinished last line.
func (l *Log) Output() *Output {
	o := &Output{log: l}
	o.stdout, o.stderr = l.mask.Writer(lineWriter{o}), l.mask.Writer(lineWriter{o})
	return o
}

// maxOutput is how much the containers of a run may say. The runner's own lines come on
// top: how a run ended is told in any case.
const maxOutput = 100 << 20

// admit returns how many of the next n bytes of output still go to the log. It tells the
// readers when that is no longer all.
func (l *Log) admit(n int) int {
	said := l.said.Add(int64(n))
	if said <= maxOutput {
		return n
	}
	before := said - int64(n)
	if before <= maxOutput {
		l.Printf("WARNING: the steps of this run have written %d MiB; what they write from here on is not kept", maxOutput>>20)
	}
	return int(max(0, maxOutput-before))
}

// Output is the output of one container on its way to the log. It may be written
// to from several goroutines. Secrets are looked for in each of its two streams: what
// one prints does not part what the other does.
type Output struct {
	log            *Log
	mu             sync.Mutex
	stdout, stderr *secret.MaskWriter
	line           []byte
	broken         bool // a line was passed on without its end
}

// maxLine is how much of a line without an end is kept before it is passed on.
const maxLine = 64 << 10

// Write implements io.Writer, for the first stream. It never fails: a container does not
// end because its output cannot be kept.
func (o *Output) Write(p []byte) (int, error) { return o.write(o.stdout, p) }

// Stderr is the other stream.
func (o *Output) Stderr() io.Writer { return errorStream{o} }

type errorStream struct{ o *Output }

// Write implements io.Writer.
func (e errorStream) Write(p []byte) (int, error) { return e.o.write(e.o.stderr, p) }

func (o *Output) write(stream *secret.MaskWriter, p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := stream.Write(p[:o.log.admit(len(p))]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is left, with the line end that a log needs. What both streams held
// back may be the beginnings of secrets: those do not come next to each other.
func (o *Output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.stdout.Flush()
	if o.stderr.Holds() {
		o.end()
	}
	_ = o.stderr.Flush()
	o.end()
}

// end ends a line that has begun.
func (o *Output) end() {
	if len(o.line) > 0 || o.broken {
		o.log.write(string(o.line) + "\n")
		o.line, o.broken = nil, false
	}
}

// Streams are the two streams that what a container prints goes to; they are the same where
// out does not tell them apart.
func Streams(out io.Writer) (stdout, stderr io.Writer) {
	if two, ok := out.(interface{ Stderr() io.Writer }); ok {
		return out, two.Stderr()
	}
	return out, out
}

// lineWriter passes on whole lines.
type lineWriter struct{ o *Output }

func (w lineWriter) Write(p []byte) (int, error) {
	o := w.o
	o.line = append(o.line, p...)
	if end := bytes.LastIndexByte(o.line, '\n') + 1; end > 0 {
		o.log.write(string(o.line[:end]))
		o.line, o.broken = append(o.line[:0], o.line[end:]...), false
	}
	if len(o.line) > maxLine {
		o.log.write(string(o.line))
		o.line, o.broken = o.line[:0], true
	}
	return len(p), nil
}

package edge

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"time"
)

// A connection on which nothing moves for Router.Stall is cut: a client that stops in the
// middle of a body, and one that does not read what it asked for. So is one on which less
// than Router.LeastRate moves while it is waited for, and the body of somebody who has not
// signed in after Router.Anonymous, however fast it is. A handler may take its time.

// moving tells a connection by when something must move next. It is used by one goroutine
// at a time.
type moving struct {
	conn  *http.ResponseController
	max   time.Duration // 0 is for ever
	rate  int           // bytes a second; 0 is any
	until time.Time     // when all is over, if it is not zero
	next  time.Time     // when the deadline is worth another system call
	set   func(time.Time) error

	waited time.Duration // for the connection, since moved was last looked at
	moved  int64         // bytes in that time
}

func (m *moving) bounded() bool { return m.max > 0 || !m.until.IsZero() }

// extend sets the deadline anew. A connection without deadlines has none.
func (m *moving) extend() {
	now := time.Now()
	if !m.bounded() || !now.After(m.next) {
		return
	}
	deadline := now.Add(m.max)
	if m.max <= 0 || !m.until.IsZero() && m.until.Before(deadline) {
		deadline = m.until
	}
	_ = m.set(deadline)
	m.next = now.Add(m.max / 16)
}

// lift takes the deadline away.
func (m *moving) lift() {
	if m.bounded() {
		_ = m.set(time.Time{})
		m.next = time.Time{}
	}
}

// window is for how long a connection is waited for before its rate is looked at.
const window = 30 * time.Second

// slow counts what moved while the connection was waited for, and reports whether it was
// too little for too long. What moved before a window is no credit in it.
func (m *moving) slow(n int64, took time.Duration) bool {
	if m.rate <= 0 {
		return false
	}
	m.waited, m.moved = m.waited+took, m.moved+n
	if m.waited < window {
		return false
	}
	little := float64(m.moved) < float64(m.rate)*m.waited.Seconds()
	m.waited, m.moved = 0, 0
	return little
}

// ErrBody is the error of reading the body of a request that ended before its time, was not
// well-formed, or came too slowly, with the reason: the client's fault, whoever reads it.
var ErrBody = errors.New("the body of the request could not be read")

// errSlow is how a transfer ends that is too slow.
var errSlow = fmt.Errorf("the client is too slow: %w", os.ErrDeadlineExceeded)

// movingBody is the body of a request.
type movingBody struct {
	io.ReadCloser
	moving
	over bool // nothing more is to be read
}

// Read implements io.Reader. At the end the deadline goes: what is read from the
// connection after that is whether the client is still there. After a failure it stays, so
// that the server does not wait for the rest once more before it answers.
func (b *movingBody) Read(p []byte) (int, error) {
	if !b.over {
		b.extend()
	}
	began := time.Now()
	n, err := b.ReadCloser.Read(p)
	if b.slow(int64(n), time.Since(began)) && err == nil {
		_ = b.set(began) // nor is the rest waited for
		err = errSlow
	}
	if err == io.EOF {
		b.lift()
	}
	b.over = b.over || err != nil
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", ErrBody, err)
	}
	return n, err
}

// stretch is how much of a file is sent under one deadline, in bytes.
const stretch = 1 << 20

// ReadFrom keeps the short cut from a file to a socket, a stretch at a time. A limit around
// the file is taken off: two of them would hide it.
func (w *statusWriter) ReadFrom(r io.Reader) (total int64, err error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	for limited.N > 0 {
		w.extend()
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, stretch)}
		want, began := part.N, time.Now()
		n, err := io.Copy(w.ResponseWriter, part)
		if w.slow(n, time.Since(began)) && err == nil {
			err = errSlow
		}
		total += n
		limited.N -= n
		if err != nil || n < want {
			return total, err
		}
	}
	return total, nil
}

// FlushError is for http.ResponseController.
func (w *statusWriter) FlushError() error {
	w.extend()
	return w.conn.Flush()
}

// drain is how long the rest of a body that nobody read is waited for, at most: the server
// reads some of it before it answers.
const drain = 5 * time.Second

// watch puts deadlines on a request, and returns what its end takes: for the rest of the
// answer, and of the body.
func (r *Router) watch(w *statusWriter, req *http.Request) (body *movingBody, end func()) {
	conn := http.NewResponseController(w.ResponseWriter)
	w.moving = moving{conn: conn, max: r.Stall, rate: r.LeastRate, set: conn.SetWriteDeadline}
	body = &movingBody{ReadCloser: req.Body, moving: moving{conn: conn, max: r.Stall, rate: r.LeastRate,
		set: conn.SetReadDeadline}}
	if r.Anonymous > 0 {
		body.until = time.Now().Add(r.Anonymous)
	}
	if body.over = req.Body == nil || req.Body == http.NoBody; !body.over {
		req.Body = body
	}
	return body, func() {
		w.next = time.Time{}
		w.extend()
		if !body.over && body.bounded() {
			_ = body.set(time.Now().Add(body.rest()))
		}
	}
}

// rest is how long the rest of a body that nobody read is waited for.
func (b *movingBody) rest() time.Duration {
	if b.max > 0 {
		return min(b.max/2, drain)
	}
	return drain
}

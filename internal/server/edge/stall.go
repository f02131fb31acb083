package edge

import (
	"io"
	"math"
	"net/http"
	"time"
)

// A connection on which nothing moves for Router.Stall is cut: a client that stops in the
// middle of a body, and one that does not read what it asked for. However slow a client
// is, it goes on as long as something moves; and a handler may take its time.

// moving tells a connection by when something must move next. Its fields are set once.
type moving struct {
	conn *http.ResponseController
	max  time.Duration // 0 is for ever
	next time.Time     // when the deadline is worth another system call
	set  func(time.Time) error
}

// extend sets the deadline anew. A connection without deadlines has none.
func (m *moving) extend() {
	if m.max <= 0 {
		return
	}
	if now := time.Now(); now.After(m.next) {
		_ = m.set(now.Add(m.max))
		m.next = now.Add(m.max / 16)
	}
}

// lift takes the deadline away.
func (m *moving) lift() {
	if m.max > 0 {
		_ = m.set(time.Time{})
		m.next = time.Time{}
	}
}

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
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.lift()
	}
	b.over = b.over || err != nil
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
		want := part.N
		n, err := io.Copy(w.ResponseWriter, part)
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
func (r *Router) watch(w *statusWriter, req *http.Request) (end func()) {
	conn := http.NewResponseController(w.ResponseWriter)
	w.moving = moving{conn: conn, max: r.Stall, set: conn.SetWriteDeadline}
	body := &movingBody{ReadCloser: req.Body, moving: moving{conn: conn, max: r.Stall, set: conn.SetReadDeadline}}
	if body.over = req.Body == nil || req.Body == http.NoBody; !body.over {
		req.Body = body
	}
	return func() {
		w.next = time.Time{}
		w.extend()
		if !body.over && body.max > 0 {
			_ = body.set(time.Now().Add(min(body.max/2, drain)))
		}
	}
}

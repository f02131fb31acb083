package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Every request to the object store has a bound. It is one of silence, not of the transfer:
// a large object takes its time, but something must move, and an answer must begin.
//
// What fails at once is tried again by the client, attempts times in some three seconds:
// connections that are refused or cut before the answer, and the answers 408, 429, 500, 502,
// 503 and 504, SlowDown among them. All requests that we make may be sent twice:
//
//   - GET, HEAD and listings change nothing.
//   - PUT of an object or a part has its whole body in memory, the same each time, and a
//     name or number that nobody else has: the second one replaces the first.
//   - DELETE and the abort of an upload find nothing the second time, which is no error.
//   - The begin of an upload in parts leaves one more that is never used; the orphan scan
//     removes it.
//   - The end of one finds no upload the second time, if the first time was heard after all.
//     Then the object is read and compared: see Commit.
//
// What was silent for too long is not tried again: whoever waits has waited long enough.

// usualStall is how long the store may be silent, unless its URL says otherwise. The store
// may take combining times that to put an object of parts together, which some copy.
const (
	usualStall = 15 * time.Second
	combining  = 20
)

// stalled is the error of a store that was silent for too long.
type stalled struct{ after time.Duration }

func (s stalled) Error() string {
	return fmt.Sprintf("nothing came of the object store for %s", s.after)
}

type giveUpKey struct{}

// patient returns a context of requests that belong together: when one of them was waited
// for in vain, the others are not begun. Its parent ends it.
func patient(ctx context.Context) context.Context {
	ctx, giveUp := context.WithCancelCause(ctx)
	return context.WithValue(ctx, giveUpKey{}, giveUp)
}

// watched is a transport that ends a request on which nothing moves.
type watched struct {
	next  http.RoundTripper
	stall time.Duration
}

// RoundTrip implements http.RoundTripper.
func (w watched) RoundTrip(req *http.Request) (*http.Response, error) {
	most := w.stall
	if req.Method == http.MethodPost && req.URL.Query().Has("uploadId") {
		most *= combining
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	watch := &alarm{most: most, timer: time.AfterFunc(most, func() { cancel(stalled{most}) })}
	out := req.WithContext(ctx)
	body := &sent{ReadCloser: req.Body, alarm: watch}
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = body
	}
	res, err := w.next.RoundTrip(out)
	watch.end()
	if err != nil || res.StatusCode >= http.StatusBadRequest {
		body.letGo()
	}
	if err != nil {
		cancel(nil)
		return nil, givenUp(req.Context(), silence(ctx, err))
	}
	res.Body = &received{body: res.Body, ctx: ctx, end: cancel, most: w.stall}
	return res, nil
}

// silence is err, or that it was silence which ended a request.
func silence(ctx context.Context, err error) error {
	if cause := new(stalled); err != io.EOF && errors.As(context.Cause(ctx), cause) {
		return *cause
	}
	return err
}

// givenUp ends the requests that belong to one which was waited for in vain.
func givenUp(ctx context.Context, err error) error {
	if giveUp, ok := ctx.Value(giveUpKey{}).(context.CancelCauseFunc); ok && inVain(err) {
		giveUp(err)
	}
	return err
}

// inVain reports whether the store was waited for and did not answer.
func inVain(err error) bool {
	var slow net.Error
	return errors.As(err, new(stalled)) ||
		errors.As(err, &slow) && slow.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

// alarm goes off when nothing moved for long enough, until the answer begins.
type alarm struct {
	most  time.Duration
	timer *time.Timer
	over  atomic.Bool
}

func (a *alarm) moved() {
	if !a.over.Load() {
		a.timer.Reset(a.most)
	}
}

func (a *alarm) end() {
	a.over.Store(true)
	a.timer.Stop()
}

// sent is the body of a request. A request may fail before its body was sent, and the
// transport goes on reading for a while; but the body is rewound then, to be sent again.
type sent struct {
	io.ReadCloser
	alarm *alarm

	mu   sync.Mutex
	gone bool
}

// Read implements io.Reader.
func (s *sent) Read(p []byte) (int, error) {
	s.alarm.moved()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0, errSentNoMore
	}
	return s.ReadCloser.Read(p)
}

var errSentNoMore = errors.New("the request has failed")

// letGo returns when nobody reads the body, and nobody will.
func (s *sent) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

// received is the body of an answer. The store is waited for while somebody reads; who reads
// may take his time.
type received struct {
	body io.ReadCloser
	ctx  context.Context
	end  context.CancelCauseFunc
	most time.Duration
}

// Read implements io.Reader.
func (r *received) Read(p []byte) (int, error) {
	timer := time.AfterFunc(r.most, func() { r.end(stalled{r.most}) })
	n, err := r.body.Read(p)
	timer.Stop()
	if err != nil {
		err = silence(r.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (r *received) Close() error {
	r.end(nil)
	return r.body.Close()
}

// failed says what was being done for whom, whether the store has no space left, and whether
// it may work again in a moment: problem.Away. What it refuses for good is neither.
func (s *S3) failed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		if !inVain(cause) { // whoever asked has left
			return fmt.Errorf("%s: %w", what, cause)
		}
		err = cause
	}
	var answer minio.ErrorResponse
	switch answered := errors.As(err, &answer); {
	case answer.StatusCode == http.StatusInsufficientStorage || answer.Code == "XMinioStorageFull":
		err = fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	case answered && !passing(answer.StatusCode):
	default:
		err = problem.NewAway(s.look, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// passing reports whether a status says that the store does not work for now.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= 500
}

package blobtest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Trouble stands between an S3Server and those who use it, and plays what goes wrong with
// object stores. It listens on loopback.
type Trouble struct {
	store  *S3Server
	server *httptest.Server

	mu    sync.Mutex
	plays Play
	over  chan struct{} // closed when something else is played
}

// Play answers a request, or has the store answer it.
type Play func(store http.Handler, w http.ResponseWriter, r *http.Request)

// Through returns a proxy in front of the store, which ends with the test.
func (s *S3Server) Through(t testing.TB) *Trouble {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: s.Address}
	store := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which is signed
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	trouble := &Trouble{store: s, over: make(chan struct{})}
	trouble.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if play := trouble.now(); play != nil {
			play(store, w, r)
		} else {
			store.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { trouble.Play(nil); trouble.server.CloseClientConnections(); trouble.server.Close() })
	return trouble
}

// URL leads a URL of the store's through the proxy.
func (t *Trouble) URL(direct string) string {
	return strings.Replace(direct, "http://"+t.store.Address, t.server.URL, 1)
}

// Play has requests answered so from now on; nil leaves them alone.
func (t *Trouble) Play(play Play) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.over)
	t.plays, t.over = play, make(chan struct{})
}

func (t *Trouble) now() Play {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.plays
}

// Refusal answers with a status and a code of S3's.
func Refusal(status int, code string) Play {
	return func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>played</Message></Error>", code)
	}
}

// Cut ends the connection without an answer.
func Cut(http.Handler, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Silence takes nothing and answers nothing, until something else is played.
func (t *Trouble) Silence(_ http.Handler, _ http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	over := t.over
	t.mu.Unlock()
	select { // who leaves in the middle of a body is not noticed
	case <-over:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// Deaf does what it is asked for and cuts the connection instead of saying so.
func Deaf(store http.Handler, _ http.ResponseWriter, r *http.Request) {
	store.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Every plays with the first of so many requests that are alike.
func Every(n int, like func(*http.Request) bool, play Play) Play {
	var mu sync.Mutex
	seen := 0
	return func(store http.Handler, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		mine := like(r) && seen%n == 0
		if like(r) {
			seen++
		}
		mu.Unlock()
		if mine {
			play(store, w, r)
		} else {
			store.ServeHTTP(w, r)
		}
	}
}

// Stopping answers with so many bytes of a body, and then ends, or hangs.
func Stopping(after int, hangs bool) Play {
	return func(store http.Handler, w http.ResponseWriter, r *http.Request) {
		store.ServeHTTP(&stopping{ResponseWriter: w, left: after, stop: func() {
			if hangs {
				<-r.Context().Done()
			}
		}}, r)
	}
}

type stopping struct {
	http.ResponseWriter
	left int
	stop func()
}

// Write implements io.Writer.
func (s *stopping) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if s.left -= n; err == nil && n < len(p) {
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		s.stop()
		err = errors.New("the play is over")
	}
	return n, err
}

// Slow moves a body on in pieces, with a pause before each.
func Slow(piece int, pause time.Duration) Play {
	return func(store http.Handler, w http.ResponseWriter, r *http.Request) {
		store.ServeHTTP(&slow{w, piece, pause}, r)
	}
}

type slow struct {
	http.ResponseWriter
	piece int
	pause time.Duration
}

// Write implements io.Writer.
func (s *slow) Write(p []byte) (total int, err error) {
	for total < len(p) && err == nil {
		time.Sleep(s.pause)
		var n int
		n, err = s.ResponseWriter.Write(p[total:min(len(p), total+s.piece)])
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		total += n
	}
	return total, err
}

// Unwrap is for http.ResponseController.
func (s *slow) Unwrap() http.ResponseWriter { return s.ResponseWriter }

package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/blob/blobtest"
	"github.com/acrux/acrux/internal/store/blobstore"
)

// stall is the patience of who waits in vain.
const stall = 500 * time.Millisecond

// troubled is a bucket that is reached through a proxy, by stores with little
// patience, with some, and with as much as others have.
type troubled struct {
	hasty, medium, store *blobstore.S3
	*blobtest.Trouble
}

func inTrouble(t *testing.T, server *blobtest.S3Server) troubled {
	t.Helper()
	trouble := server.Through(t)
	url := trouble.URL(server.Bucket(t))
	with := func(more string) *blobstore.S3 { return openS3(t, server, url+more) }
	return troubled{with("&stall=" + stall.String()), with("&stall=2s"), with(""), trouble}
}

func isAway(t *testing.T, what string, err error) {
	t.Helper()
	p := problem.From(err)
	if p.Kind != problem.Away || !strings.Contains(p.Look, "bucket-") || strings.Contains(p.Text(), "127.0.0.1") {
		t.Errorf("%s: %v, %v", what, err, errors.Unwrap(p))
	}
}

// noise is content that is not the same twice.
func noise(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return string(b)
}

func content(b blob.Blob) (string, error) {
	var text bytes.Buffer
	_, err := b.WriteTo(&text, 0, b.Size())
	return text.String(), err
}

// same fails the test unless there is that under the key.
func same(t *testing.T, s blob.Store, key blob.Key, want string) {
	t.Helper()
	b, err := s.Open(t.Context(), key)
	must(t, err)
	got, err := content(b)
	if err != nil || got != want {
		t.Errorf("of %d bytes %d were read: %v", len(want), len(got), err)
	}
	part := make([]byte, len(want)/2)
	from := len(want) / 4
	if _, err := b.ReadAt(part, int64(from)); err != nil || string(part) != want[from:from+len(part)] {
		t.Errorf("a part of %d bytes: %v", len(want), err)
	}
	must(t, b.Close())
}

func method(names ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		for _, name := range names {
			if r.Method == name {
				return true
			}
		}
		return false
	}
}

func anyRequest(*http.Request) bool { return true }

func combines(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

func TestS3Away(t *testing.T) {
	server := blobtest.StartS3(t)
	for name, test := range map[string]func(*testing.T, troubled){
		"now and then": nowAndThen, "all the time": allTheTime, "in the middle of a read": middleOfRead,
		"slow": slowly, "the last answer": lastAnswer, "whoever asks leaves": asker,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, inTrouble(t, server))
		})
	}
}

// One fault of several requests is one that nobody notices: each request may be sent again.
func nowAndThen(t *testing.T, w troubled) {
	large := noise(9 << 20)
	for name, play := range map[string]blobtest.Play{"500": blobtest.Refusal(500, "InternalError"),
		"503": blobtest.Refusal(503, "SlowDown"), "cut": blobtest.Cut, "deaf": blobtest.Deaf} {
		w.Play(blobtest.Every(2, anyRequest, play))
		for _, text := range []string{"small", large} {
			key := put(t, w.store, text)
			same(t, w.store, key, text)
			if err := w.store.Delete(t.Context(), key); err != nil {
				t.Errorf("%s: deleting: %v", name, err)
			}
		}
	}
}

// A store that does not work says so each time, in time, and works when it does again.
func allTheTime(t *testing.T, w troubled) {
	key := put(t, w.store, "x")
	large := noise(20 << 20)
	for name, play := range map[string]blobtest.Play{"500": blobtest.Refusal(500, "InternalError"),
		"503": blobtest.Refusal(503, "SlowDown"), "429": blobtest.Refusal(429, "TooManyRequests"),
		"cut": blobtest.Cut, "silent": w.Silence} {
		w.Play(play)
		_, err := w.hasty.Open(t.Context(), key)
		isAway(t, name+", opening", err)
		isAway(t, name+", deleting", w.hasty.Delete(t.Context(), "00"+key[2:]))
		texts := []string{"small"}
		if name == "500" || name == "silent" {
			texts = append(texts, large)
		}
		for _, text := range texts {
			u, err := w.hasty.Start(t.Context())
			must(t, err)
			_, err = u.ReadFrom(strings.NewReader(text))
			if err == nil {
				_, err = u.Commit(t.Context(), digest.FromString(text))
			}
			isAway(t, name+", uploading", err)
			_ = u.Cancel() // which needs the store as well
		}
		for _, err := range w.hasty.List(t.Context()) {
			isAway(t, name+", listing", err)
		}
		w.Play(nil)
		same(t, w.store, key, "x")
	}
	w.Play(blobtest.Refusal(403, "AccessDenied"))
	if _, err := w.store.Open(t.Context(), key); err == nil || problem.Is(err, problem.Away) {
		t.Errorf("a refusal: %v", err)
	}
}

// What breaks off or hangs in the middle is taken up where it was, as long as something comes.
func middleOfRead(t *testing.T, w troubled) {
	text := noise(3 << 20)
	key := put(t, w.store, text)
	for _, hangs := range []bool{false, true} {
		w.Play(blobtest.Every(3, method("GET"), blobtest.Stopping(1<<20, hangs)))
		same(t, w.medium, key, text)
		w.Play(blobtest.Every(1, method("GET"), blobtest.Stopping(1<<19, hangs)))
		b, err := w.medium.Open(t.Context(), key)
		must(t, err)
		got, err := content(b)
		isAway(t, "one that always stops", err)
		if !strings.HasPrefix(text, got) || len(got) == 0 {
			t.Errorf("%d bytes that are not the first ones", len(got))
		}
	}
}

// A store that is slow and not silent may take its time, and so may who reads from it.
func slowly(t *testing.T, w troubled) {
	text := noise(1 << 20)
	key := put(t, w.store, text)
	s := w.medium
	w.Play(blobtest.Slow(1<<17, 400*time.Millisecond))
	same(t, s, key, text)
	w.Play(nil)
	b, err := s.Open(t.Context(), key)
	must(t, err)
	var got bytes.Buffer
	_, err = b.WriteTo(&lazy{&got}, 0, b.Size())
	if err != nil || got.String() != text {
		t.Errorf("a slow reader has %d bytes, %v", got.Len(), err)
	}
}

// lazy is a writer that makes one long pause.
type lazy struct{ *bytes.Buffer }

func (l *lazy) Write(p []byte) (int, error) {
	if l.Len() < 1<<19 && l.Len()+len(p) >= 1<<19 {
		time.Sleep(3 * time.Second)
	}
	return l.Buffer.Write(p)
}

// An upload whose end was done and not answered is there, and one that was not done is not.
func lastAnswer(t *testing.T, w troubled) {
	text := noise(9 << 20)
	w.Play(blobtest.Every(1, combines, blobtest.Deaf))
	same(t, w.store, put(t, w.store, text), text)
	w.Play(blobtest.Every(1, combines, blobtest.Refusal(500, "InternalError")))
	u, err := w.store.Start(t.Context())
	must(t, err)
	_, err = u.ReadFrom(strings.NewReader(text))
	must(t, err)
	_, err = u.Commit(t.Context(), digest.FromString(text))
	isAway(t, "the end", err)
	must(t, u.Cancel())
}

// That somebody does not wait for an answer is no fault of the store's.
func asker(t *testing.T, w troubled) {
	key := put(t, w.store, "x")
	arrived := make(chan bool, 10)
	w.Play(func(store http.Handler, out http.ResponseWriter, r *http.Request) {
		arrived <- true
		w.Silence(store, out, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := w.store.Open(ctx, key); !errors.Is(err, context.Canceled) || problem.Is(err, problem.Away) {
		t.Errorf("the error is %v", err)
	}
}

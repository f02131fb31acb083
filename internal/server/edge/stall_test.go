package edge_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrux/acrux/internal/server/edge"
)

const stall = time.Minute

// pipes is a listener whose connections are pipes: they have deadlines, and move nothing
// by themselves.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { close(p); return nil } // once, by the server
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// inBubble serves a handler on a connection in time of its own.
func inBubble(t *testing.T, handler http.HandlerFunc, client func(t *testing.T, conn net.Conn, answer *bufio.Reader)) {
	t.Helper()
	router := &edge.Router{}
	router.Host("x.test", handler)
	inRouter(t, router, client)
}

func inRouter(t *testing.T, router *edge.Router, client func(t *testing.T, conn net.Conn, answer *bufio.Reader)) {
	t.Helper()
	router.Log, router.Stall = slog.New(slog.DiscardHandler), stall
	synctest.Test(t, func(t *testing.T) {
		server := &http.Server{Handler: router, IdleTimeout: time.Hour}
		listener := make(pipes)
		done := make(chan error)
		go func() { done <- server.Serve(listener) }()
		here, there := net.Pipe()
		listener <- there
		client(t, here, bufio.NewReader(here))
		_ = here.Close()
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Errorf("writing %q: %v", text, err)
	}
}

func answered(t *testing.T, answer *bufio.Reader) (status int, body string) {
	t.Helper()
	res, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(text)
}

const post = "POST / HTTP/1.1\r\nHost: x.test\r\nContent-Length: 10\r\n\r\n"

// readAll answers with what came, or 400.
func readAll(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = w.Write(body)
}

// A body that stops is cut after the time, and not before.
func TestBodyStops(t *testing.T) {
	inBubble(t, readAll, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
		began := time.Now()
		write(t, conn, post+"half")
		if status, body := answered(t, answer); status != 400 || body != "half" {
			t.Errorf("%d %s", status, body)
		}
		if took := time.Since(began); took != stall {
			t.Errorf("it was cut after %v", took)
		}
	})
}

// What is wrong with a body is told apart from what is wrong with who keeps it.
func TestBodyThatIsNone(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		text string
		good bool
	}{{"1\r\na\r\n0\r\n\r\n", true}, {"-1\r\na\r\n", false}, {"1\r\nabc\r\n", false}, {"x\r\n", false}} {
		var err error
		read := func(w http.ResponseWriter, r *http.Request) { _, err = io.ReadAll(r.Body) }
		inBubble(t, read, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
			write(t, conn, chunked+test.text)
			answered(t, answer)
		})
		if test.good != (err == nil) || !test.good && !errors.Is(err, edge.ErrBody) {
			t.Errorf("%q: %v", test.text, err)
		}
	}
}

// One that goes on, however slowly, is not, nor is the request after it.
func TestSlowBody(t *testing.T) {
	inBubble(t, readAll, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
		for range 2 {
			write(t, conn, post)
			for i := range 10 {
				time.Sleep(stall - stall/8)
				write(t, conn, string(rune('0'+i)))
			}
			if status, body := answered(t, answer); status != 200 || body != "0123456789" {
				t.Errorf("%d %s", status, body)
			}
			time.Sleep(10 * stall)
		}
	})
}

// A handler may take its time, before its answer and in it.
func TestSlowHandler(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		time.Sleep(10 * stall)
		_, _ = w.Write(body[:5])
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * stall)
		if r.Context().Err() != nil {
			t.Error("the client is said to be gone")
		}
		_, _ = w.Write(body[5:])
		time.Sleep(10 * stall)
	}
	inBubble(t, slow, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
		for range 2 {
			write(t, conn, post+"0123456789")
			if status, body := answered(t, answer); status != 200 || body != "0123456789" {
				t.Errorf("%d %s", status, body)
			}
		}
	})
}

// Who does not read the answer is cut as well.
func TestReaderStops(t *testing.T) {
	type end struct {
		took time.Duration
		err  error
	}
	ended := make(chan end, 1)
	endless := func(w http.ResponseWriter, _ *http.Request) {
		began := time.Now()
		for {
			if _, err := io.CopyN(w, strings.NewReader(strings.Repeat("x", 1<<16)), 1<<16); err != nil {
				ended <- end{time.Since(began), err}
				return
			}
		}
	}
	inBubble(t, endless, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
		write(t, conn, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n")
		if _, err := answer.ReadString('\n'); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * stall)
		if e := <-ended; !errors.Is(e.err, os.ErrDeadlineExceeded) || e.took != stall {
			t.Errorf("it ended after %v with %v", e.took, e.err)
		}
	})
}

// A body that nobody reads does not hold the connection.
func TestBodyUnread(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
		write(t, conn, post+"half")
		if status, _ := answered(t, answer); status != http.StatusTeapot {
			t.Errorf("%d", status)
		}
		if _, err := answer.ReadByte(); err != io.EOF {
			t.Errorf("the connection goes on: %v", err)
		}
	})
}

// A file comes whole, whatever limits are around it.
func TestFile(t *testing.T) {
	content := strings.Repeat("0123456789", 400_000)
	name := t.TempDir() + "/file"
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if n, err := io.CopyN(w, f, int64(len(content)-3)); err != nil || n != int64(len(content)-3) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
		write(t, conn, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n")
		if status, body := answered(t, answer); status != 200 || body != content[:len(content)-3] {
			t.Errorf("%d, %d bytes", status, len(body))
		}
	})
}

// drip sends a byte each time until the other end has had enough, and says when that was.
func drip(conn net.Conn, every time.Duration) time.Duration {
	began := time.Now()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x.test\r\nContent-Length: 100000\r\n\r\n")
	for range 100_000 {
		time.Sleep(every)
		if _, err := io.WriteString(conn, "x"); err != nil {
			break
		}
	}
	return time.Since(began)
}

// A body that never stops and never gets anywhere is cut: of somebody who has not signed in
// after a time, of others if it is slower than it may be, whatever came fast before.
func TestDrippingBody(t *testing.T) {
	signsIn := func(w http.ResponseWriter, r *http.Request) { edge.SignedIn(r.Context()); readAll(w, r) }
	for name, test := range map[string]struct {
		router  *edge.Router
		handler http.HandlerFunc
		every   time.Duration
		within  time.Duration
		whole   bool
	}{
		"nobody's, slow": {&edge.Router{Anonymous: 30 * time.Second}, readAll, time.Second,
			36 * time.Second, false},
		"nobody's, fast": {&edge.Router{Anonymous: 30 * time.Second, LeastRate: 10}, readAll,
			time.Millisecond, 36 * time.Second, false},
		"somebody's, slow": {&edge.Router{Anonymous: 30 * time.Second, LeastRate: 10}, signsIn, time.Second,
			37 * time.Second, false},
		"somebody's, fast enough": {&edge.Router{Anonymous: 30 * time.Second, LeastRate: 10}, signsIn,
			50 * time.Millisecond, 2 * time.Hour, true},
		"somebody's, without rate": {&edge.Router{Anonymous: 30 * time.Second}, signsIn, time.Second, 30 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			test.router.Host("x.test", test.handler)
			inRouter(t, test.router, func(t *testing.T, conn net.Conn, answer *bufio.Reader) {
				whole := make(chan bool, 1)
				go func() {
					res, err := http.ReadResponse(answer, nil)
					whole <- err == nil && res.StatusCode == 200
					_, _ = io.Copy(io.Discard, answer)
				}()
				took := drip(conn, test.every)
				if took > test.within {
					t.Errorf("it was cut after %v", took)
				}
				if <-whole != test.whole {
					t.Errorf("it was cut: %v", !test.whole)
				}
				if !test.whole && took < 25*time.Second {
					t.Errorf("it was cut after %v already", took)
				}
			})
		})
	}
}

// Nor does a reader hold a connection who takes a byte now and then.
func TestDrippingReader(t *testing.T) {
	ended := make(chan error, 1)
	router := &edge.Router{LeastRate: 10}
	router.Host("x.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<14)); err != nil {
				ended <- err
				return
			}
		}
	}))
	inRouter(t, router, func(t *testing.T, conn net.Conn, _ *bufio.Reader) {
		write(t, conn, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n")
		one := make([]byte, 1)
		for range 100_000 {
			time.Sleep(time.Second)
			if _, err := conn.Read(one); err != nil {
				break
			}
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	})
}

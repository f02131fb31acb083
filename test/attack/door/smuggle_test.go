package door_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// raw opens a connection on which anything may be said.
func (w *world) raw(t *testing.T) net.Conn {
	t.Helper()
	config, err := w.tlsConfig()
	must(t, err)
	config.ServerName = strings.Split(w.login(first), ":")[0]
	conn, err := tls.Dial("tcp", w.Published.Address, config)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// say writes a text, in which lines end as HTTP has it, and reads all answers until the
// server closes the connection or, after so many answers, says nothing for a while.
func say(t *testing.T, conn net.Conn, text string, answers int) (statuses []int, closed bool) {
	t.Helper()
	must(t, conn.SetWriteDeadline(time.Now().Add(time.Minute)))
	_, _ = io.WriteString(conn, strings.ReplaceAll(text, "\n", "\r\n")) // the server may have enough of it
	reader := bufio.NewReader(conn)
	for {
		quiet := time.Minute // a machine that has much else to do answers late
		if len(statuses) >= answers {
			quiet = 700 * time.Millisecond
		}
		must(t, conn.SetReadDeadline(time.Now().Add(quiet)))
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			return statuses, !errors.Is(err, os.ErrDeadlineExceeded)
		}
		must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		statuses = append(statuses, res.StatusCode)
	}
}

// Requests that two readers would take apart at different places are refused, and the
// connection with them: what follows is nobody's request.
func TestSmuggling(t *testing.T) {
	w := shared(t)
	who := "Authorization: " + basic(refresher, w.admin.refresh(t, first)) + "\n"
	host := "Host: " + w.login(first) + "\n"
	start := "POST /v2/app/blobs/uploads/ HTTP/1.1\n" + host + who
	hidden := "GET /v2/ HTTP/1.1\n" + host + "\n"
	t.Run("control: one length", func(t *testing.T) {
		t.Parallel()
		if got, _ := say(t, w.raw(t), start+"Content-Length: 0\n\n", 1); len(got) != 1 || got[0] != 202 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("control: chunks", func(t *testing.T) {
		t.Parallel()
		if got, _ := say(t, w.raw(t), start+"Transfer-Encoding: chunked\n\n0\n\n", 1); len(got) != 1 || got[0] != 202 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("control: two requests", func(t *testing.T) {
		t.Parallel()
		if got, _ := say(t, w.raw(t), start+"Content-Length: 0\n\n"+hidden, 2); len(got) != 2 || got[1] != 401 {
			t.Errorf("got %v", got)
		}
	})
	const chunks = "0\n\n"
	for name, text := range map[string]string{
		"two lengths":           start + "Content-Length: 0\nContent-Length: 90\n\n",
		"two lengths in a list": start + "Content-Length: 0, 90\n\n",
		"a negative length":     start + "Content-Length: -1\n\n",
		"a length with a sign":  start + "Content-Length: +3\n\nabc",
		"a length in hex":       start + "Content-Length: 0x3\n\nabc",
		"a length too large":    start + "Content-Length: 99999999999999999999999\n\n",
		"two encodings": start + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n" +
			chunks,
		"chunked and identity":             start + "Transfer-Encoding: chunked, identity\n\n" + chunks,
		"gzip and chunked":                 start + "Transfer-Encoding: gzip, chunked\n\n" + chunks,
		"another encoding":                 start + "Transfer-Encoding: xchunked\n\n" + chunks,
		"an encoding with a tab":           start + "Transfer-Encoding:\x0bchunked\n\n" + chunks,
		"a blank before the colon":         start + "Transfer-Encoding : chunked\n\n" + chunks,
		"a blank before a length":          start + "Content-Length : 0\n\n",
		"a header with a zero byte":        start + "X: \x00\nContent-Length: 0\n\n",
		"a header with a bare return":      start + "X: a\rContent-Length: 5\nContent-Length: 0\n\n",
		"a header without a colon":         start + "Content-Length\n\n",
		"two hosts":                        start + host + "Content-Length: 0\n\n",
		"no host":                          "GET /v2/ HTTP/1.1\n" + who + "\n",
		"a bad host":                       "GET /v2/ HTTP/1.1\nHost: a b\n" + who + "\n",
		"no version":                       "GET /v2/\n" + host + "\n",
		"a later version":                  "GET /v2/ HTTP/3.0\n" + host + "\n",
		"a path without a slash":           "GET v2/ HTTP/1.1\n" + host + "\n",
		"a line break in the request line": "GET /v2/\rX HTTP/1.1\n" + host + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, closed := say(t, w.raw(t), text+hidden, 1)
			if len(got) > 1 || len(got) == 1 && got[0] != 400 && got[0] != 501 && got[0] != 505 {
				t.Errorf("the server answers %v", got)
			}
			if !closed {
				t.Errorf("the connection stays open after %v", got)
			}
		})
	}
	// What has but one meaning (RFC 9112, sections 5.2 and 6.3) is read so.
	for name, text := range map[string]string{
		"a length and chunks":   start + "Content-Length: 3\nTransfer-Encoding: chunked\n\n" + chunks,
		"chunks and a length":   start + "Transfer-Encoding: chunked\nContent-Length: 3\n\n" + chunks,
		"a header that goes on": start + "X: y\n Content-Length: 5\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, _ := say(t, w.raw(t), text+hidden, 2); len(got) != 2 || got[0] != 202 || got[1] != 401 {
				t.Errorf("the server answers %v", got)
			}
		})
	}
	t.Run("the beginning of HTTP/2", func(t *testing.T) {
		t.Parallel()
		got, closed := say(t, w.raw(t), "PRI * HTTP/2.0\n\nSM\n\n"+hidden, 1)
		if len(got) != 1 || got[0] != 404 || !closed {
			t.Errorf("the server answers %v, and the connection is closed: %v", got, closed)
		}
	})
	// What is wrong with a body shows when it is read.
	for name, body := range map[string]string{
		"a chunk that is negative":       "-1\nabc\n" + chunks,
		"a chunk that is too large":      "fffffffffffffffff\nabc\n" + chunks,
		"a chunk that is no number":      "xyz\nabc\n" + chunks,
		"a chunk longer than it says":    "1\nabc\n" + chunks,
		"a size of eight kilobytes":      "3;" + strings.Repeat("x", 8<<10) + "\nabc\n" + chunks,
		"an extension with a bare break": "3;a\rb\nabc\n" + chunks,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := "POST /v2/app/blobs/uploads/?digest=" + digestOf("abc") + " HTTP/1.1\n" + host + who
			if got, _ := say(t, w.raw(t), target+"Transfer-Encoding: chunked\n\n3\nabc\n0\n\n", 1); len(got) != 1 ||
				got[0] != 201 {
				t.Errorf("control: %v", got)
			}
			got, closed := say(t, w.raw(t), target+"Transfer-Encoding: chunked\n\n"+body+hidden, 1)
			if len(got) > 1 || len(got) == 1 && got[0] != 400 || !closed {
				t.Errorf("the server answers %v, and the connection is closed: %v", got, closed)
			}
		})
	}
}

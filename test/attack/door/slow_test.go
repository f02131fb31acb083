package door_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hurried is a server with limits that a test can wait for.
func hurried(t *testing.T) *world {
	t.Helper()
	return theWorld(t, "hurried", "limits: {anonymousBody: 2s, stall: 3s, perAddress: 40,"+
		" connections: 400}\nagent: {off: true}\n")
}

// slow is a client that makes the server wait, and for how long that is.
type slow struct {
	name        string
	plain       bool   // without TLS, which the server waits for
	first       string // is said at once
	drip        string // is said again and again
	every       time.Duration
	least, most time.Duration // until the server closes the connection
	status      string        // what it answers; "" is nothing, or that it was too late
}

// connect connects from an address of its own.
func (w *world) connect(t *testing.T, from string, plain bool) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", w.Published.Address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	if plain {
		return conn
	}
	config, err := w.tlsConfig()
	must(t, err)
	config.ServerName = strings.Split(w.login(first), ":")[0]
	secured := tls.Client(conn, config)
	must(t, secured.Handshake())
	return secured
}

// try is slow and returns what the server answered, and when it closed the connection.
func (s slow) try(t *testing.T, conn net.Conn) (said string, took time.Duration) {
	t.Helper()
	began := time.Now()
	done := make(chan struct{})
	defer close(done)
	go func() {
		_, _ = io.WriteString(conn, strings.ReplaceAll(s.first, "\n", "\r\n")) // until the server has enough
		for s.drip != "" {
			select {
			case <-done:
				return
			case <-time.After(s.every):
				_, _ = io.WriteString(conn, s.drip)
			}
		}
	}()
	must(t, conn.SetReadDeadline(began.Add(s.most)))
	text, _ := io.ReadAll(conn)
	return string(text), time.Since(began)
}

// Who is slow loses his connection after the time that is documented, and others are
// answered meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	w := hurried(t)
	who := "Authorization: " + basic(refresher, w.admin.refresh(t, first)) + "\n"
	arm := "Authorization: " + bearer(w.admin.armToken(t)) + "\n"
	at := func(host string) string { return "Host: " + host + "." + w.Published.Suffix() + "\n" }
	registry := "Host: " + w.login(first) + "\n"
	upload := w.v2(t, first, basic(refresher, w.admin.refresh(t, first)), "POST", "/v2/app/blobs/uploads/",
		"").ok(t).header.Get("Location")
	signed, err := url.Parse(w.arm(t, w.admin, "POST", w.registry(group1, first)+"/listBuildSourceUploadUrl",
		"").ok(t).text("uploadUrl"))
	must(t, err)
	const anonymous, stall, heads, drain, slack = 2 * time.Second, 3 * time.Second, 10 * time.Second,
		5 * time.Second, 15 * time.Second
	form := "Content-Type: application/x-www-form-urlencoded\nContent-Length: 5000\n\ngrant_type="
	const second = 300 * time.Millisecond
	cases := []slow{
		{name: "says nothing", plain: true, least: heads - second, most: heads + slack},
		{name: "says nothing after the handshake", least: heads - second, most: heads + slack},
		{name: "drips a handshake", plain: true, first: "\x16\x03\x01", drip: "\x00", every: second,
			least: second, most: heads + slack},
		{name: "drips a request line", drip: "G", every: second, least: heads - second, most: heads + slack},
		{name: "drips a header", first: "GET /v2/ HTTP/1.1\n" + registry + "X: ", drip: "x", every: second,
			least: heads - second, most: heads + slack},
		{name: "drips headers", first: "GET /v2/ HTTP/1.1\n" + registry, drip: "X: y\r\n", every: second,
			least: heads - second, most: heads + slack},
		{name: "drips a body at the login host",
			first: "POST /common/oauth2/v2.0/token HTTP/1.1\n" + at("login") + form, drip: "a", every: second,
			least: anonymous - second, most: anonymous + drain + slack, status: "400"},
		{name: "stops in a body at the login host",
			first: "POST /common/oauth2/v2.0/token HTTP/1.1\n" + at("login") + form, least: anonymous - second,
			most: anonymous + drain + slack, status: "400"},
		{name: "drips a body for an access token", first: "POST /oauth2/token HTTP/1.1\n" + registry + form,
			drip: "a", every: second, least: anonymous - second, most: anonymous + drain + slack, status: "400"},
		{name: "drips a body for a refresh token", first: "POST /oauth2/exchange HTTP/1.1\n" + registry + form,
			drip: "a", every: second, least: anonymous - second, most: anonymous + drain + slack, status: "400"},
		{name: "drips chunks for an access token",
			first: "POST /oauth2/token HTTP/1.1\n" + registry +
				"Content-Type: application/x-www-form-urlencoded\nTransfer-Encoding: chunked\n\n",
			drip: "1\r\na\r\n", every: second, least: anonymous - second, most: anonymous + drain + slack,
			status: "400"},
		{name: "drips a body nobody reads at a registry",
			first: "PUT /v2/app/manifests/1 HTTP/1.1\n" + registry + "Content-Length: 5000\n\n", drip: "a",
			every: second, least: 0, most: drain + slack, status: "401"},
		{name: "drips a body nobody reads at management",
			first: "PUT /subscriptions HTTP/1.1\n" + at("management") + "Content-Length: 5000\n\n", drip: "a",
			every: second, least: 0, most: drain + slack, status: "401"},
		{name: "drips a body nobody reads at the directory",
			first: "POST /v1.0/users HTTP/1.1\n" + at("graph") + "Content-Length: 5000\n\n", drip: "a",
			every: second, least: 0, most: drain + slack, status: "401"},
		{name: "drips a body nobody reads at the storage host",
			first: "PUT /tasks-source/x HTTP/1.1\n" + at("acrctx.blob") + "Content-Length: 5000\n\n", drip: "a",
			every: second, least: 0, most: drain + slack, status: "403"},
		{name: "drips a body nobody reads at an unknown host",
			first: "PUT / HTTP/1.1\nHost: example.com\nContent-Length: 5000\n\n", drip: "a", every: second,
			least: 0, most: drain + slack, status: "404"},
		{name: "stops in a body at management, signed in",
			first: "PUT " + versioned(w.group("slow1")) + " HTTP/1.1\n" + at("management") + arm +
				"Content-Length: 5000\n\n{", least: stall - second, most: stall + drain + slack, status: "400"},
		{name: "stops in a manifest, signed in",
			first: "PUT /v2/app/manifests/1 HTTP/1.1\n" + registry + who + "Content-Type: " + manifestType +
				"\nContent-Length: 5000\n\n{", least: stall - second, most: stall + drain + slack, status: "400"},
		{name: "stops in a chunk of a blob, signed in",
			first: "PATCH " + upload + " HTTP/1.1\n" + registry + who + "Content-Length: 5000\n\nabc",
			least: stall - second, most: stall + drain + slack, status: "400"},
		{name: "stops in a blob of no length, signed in",
			first: "POST /v2/app/blobs/uploads/?digest=" + digestOf("x") + " HTTP/1.1\n" + registry + who +
				"Transfer-Encoding: chunked\n\n1\nx\n", least: stall - second, most: stall + drain + slack,
			status: "400"},
		{name: "stops in an upload of source code",
			first: "PUT " + signed.RequestURI() + " HTTP/1.1\nHost: " + signed.Host +
				"\nx-ms-blob-type: BlockBlob\nContent-Length: 5000\n\nabc", least: stall - second,
			most: stall + drain + slack, status: "400"},
		{name: "uploads source code too slowly",
			first: "PUT " + signed.RequestURI() + " HTTP/1.1\nHost: " + signed.Host +
				"\nx-ms-blob-type: BlockBlob\nContent-Length: 5000000\n\nabc", drip: "x", every: second,
			least: 25 * time.Second, most: 30*time.Second + drain + slack, status: "400"},
		{name: "uploads a blob too slowly", first: "POST /v2/app/blobs/uploads/?digest=" + digestOf("x") +
			" HTTP/1.1\n" + registry + who + "Content-Length: 5000000\n\nabc", drip: "x", every: second,
			least: 25 * time.Second, most: 30*time.Second + drain + slack, status: "400"},
	}
	stop := w.probe(t)
	t.Run("clients", func(t *testing.T) {
		for i, s := range cases {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				said, took := s.try(t, w.connect(t, fmt.Sprintf("127.0.1.%d", i+1), s.plain))
				status, _, _ := strings.Cut(strings.TrimPrefix(said, "HTTP/1.1 "), " ")
				silent := s.status == "" && (status == "408" || status == "400" || s.plain)
				if took < s.least || took >= s.most || status != s.status && !silent {
					t.Errorf("after %v, want %v to %v: %q", took, s.least, s.most, said)
				}
			})
		}
		t.Run("does not read", func(t *testing.T) { t.Parallel(); w.unread(t) })
		t.Run("takes all places of its address", func(t *testing.T) { t.Parallel(); w.crowd(t) })
	})
	t.Run("others are answered meanwhile", stop)
}

// probe asks the server now and then until what it returns is called, which fails the test
// if an answer took long.
func (w *world) probe(t *testing.T) func(t *testing.T) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	var longest, asked atomic.Int64
	client, err := w.clientFrom("127.0.0.77")
	must(t, err)
	access := bearer(w.admin.access(t, first, "repository:app:pull"))
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			began := time.Now()
			a := send(t, client, ask{"GET", w.at(first, "/v2/app/manifests/1"), []string{"Authorization", access}, ""})
			if a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
			asked.Add(1)
			longest.Store(max(longest.Load(), int64(time.Since(began))))
		}
	}()
	return func(t *testing.T) {
		close(done)
		<-ended
		if took := time.Duration(longest.Load()); took > 10*time.Second || asked.Load() < 10 {
			t.Errorf("of %d answers one took %v", asked.Load(), took)
		}
	}
}

// unread asks for more than buffers hold and does not read it: the server gives up after a
// while in which nothing moves.
func (w *world) unread(t *testing.T) {
	who := basic(refresher, w.admin.refresh(t, first))
	large := strings.Repeat("0123456789abcdef", 2<<20)
	w.v2(t, first, who, "POST", "/v2/app/blobs/uploads/?digest="+url.QueryEscape(digestOf(large)), large).ok(t)
	request := "GET /v2/app/blobs/" + digestOf(large) + " HTTP/1.1\r\nHost: " + w.login(first) +
		"\r\nAuthorization: " + who + "\r\n\r\n"
	for _, pause := range []time.Duration{0, 10 * time.Second} {
		conn := w.connect(t, "127.0.0.78", false)
		_, err := io.WriteString(conn, request)
		must(t, err)
		time.Sleep(pause)
		must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := io.CopyN(io.Discard, conn, int64(len(large)))
		if complete := err == nil; complete != (pause == 0) {
			t.Errorf("after %v: %d bytes, %v", pause, n, err)
		}
	}
}

// crowd opens twice as many connections as an address may have: half of them are closed
// before they are late with anything, and others go on.
func (w *world) crowd(t *testing.T) {
	t.Helper()
	const share = 40
	closed := make(chan bool, 2*share)
	for range 2 * share {
		conn := w.connect(t, "127.0.0.79", true)
		must(t, conn.SetReadDeadline(time.Now().Add(6*time.Second)))
		go func() {
			var one [1]byte
			_, err := conn.Read(one[:])
			closed <- !errors.Is(err, os.ErrDeadlineExceeded)
		}()
	}
	ended := 0
	for range 2 * share {
		if <-closed {
			ended++
		}
	}
	if ended != share {
		t.Errorf("of %d connections the server has closed %d, want %d", 2*share, ended, share)
	}
}

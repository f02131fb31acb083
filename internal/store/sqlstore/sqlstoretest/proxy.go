package sqlstoretest

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Proxy stands between a database of PostgreSQL and those who use it, and plays that it is
// away. It listens on loopback.
type Proxy struct {
	URL string // of the database, through the proxy

	listener net.Listener
	socket   string
	mu       sync.Mutex
	changed  sync.Cond
	mode     mode
	open     map[net.Conn]bool // true if it is a client's
	asked    net.Conn          // the client that spoke last, until it is answered
	turns    int
}

type mode int

const (
	works mode = iota
	gone
	hangs
)

// Through returns a proxy in front of a new database, which ends with the test.
func Through(t testing.TB) *Proxy {
	t.Helper()
	direct, err := url.Parse(Database(t))
	must(t, err)
	p := &Proxy{socket: direct.Query().Get("host") + "/.s.PGSQL.5432", open: map[net.Conn]bool{}}
	p.changed.L = &p.mu
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.URL = "postgres://postgres@" + p.listener.Addr().String() + direct.Path + "?sslmode=disable"
	done := make(chan struct{})
	go func() { defer close(done); p.serve() }()
	t.Cleanup(func() { _ = p.listener.Close(); p.set(gone); <-done })
	return p
}

// Go cuts all connections, and lets nobody in.
func (p *Proxy) Go() { p.set(gone) }

// Hang lets nothing pass, and says nothing.
func (p *Proxy) Hang() { p.set(hangs) }

// Work lets everything pass; what it held back comes now.
func (p *Proxy) Work() { p.set(works) }

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	p.changed.Broadcast()
	for conn := range p.open {
		if m == gone {
			_ = conn.Close()
		}
	}
}

func (p *Proxy) serve() {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.socket)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			all.Go(func() { p.copy(way[0], way[1]) })
		}
	}
}

// keep notes a connection, unless nobody is let in.
func (p *Proxy) keep(both ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, conn := range both {
		if p.mode == gone {
			_ = conn.Close()
		} else {
			p.open[conn] = i == 0
		}
	}
	return p.mode != gone
}

// copy passes on what comes while the proxy works, until one of both ends.
func (p *Proxy) copy(to, from net.Conn) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, from)
		_, _ = to.Close(), from.Close()
	}()
	_, _ = io.Copy(to, &held{from, p}) // whatever ends it
}

// held reads from a connection, but not while the proxy hangs.
type held struct {
	net.Conn
	proxy *Proxy
}

func (h *held) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.proxy.mu.Lock()
	defer h.proxy.mu.Unlock()
	for h.proxy.mode == hangs {
		h.proxy.changed.Wait()
	}
	if !h.proxy.open[h.Conn] {
		h.proxy.asked = nil
	} else if n > 0 && h.proxy.asked != h.Conn {
		h.proxy.asked, h.proxy.turns = h.Conn, h.proxy.turns+1
	}
	return n, err
}

// Turns is how often somebody asked and waited for an answer, if one did at a time.
func (p *Proxy) Turns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turns
}

// Direct is a URL of a database without its proxy.
func (p *Proxy) Direct() string {
	u, _ := url.Parse(p.URL)
	return "postgres://postgres@" + u.Path + "?host=" + url.QueryEscape(strings.TrimSuffix(p.socket, "/.s.PGSQL.5432"))
}

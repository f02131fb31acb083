package edge

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// Places bounds how many connections a listener has at once. When there are no more, the
// connection goes that has belonged to nobody for longest: on which nobody has signed in
// since it was opened, or since its present request began. If all belong to somebody, new
// ones wait where the system keeps them. Its fields are set before Listen; it is safe for
// concurrent use.
type Places struct {
	// Max is how many there are.
	Max int
	// Share is how many of them one address may have; 0 is all. Connections of proxies
	// count for whoever has the present request.
	Share int
	// Proxies may tell where a connection comes from, by the PROXY protocol.
	Proxies Proxies

	mu        sync.Mutex
	changed   sync.Cond
	taken     int
	held      map[string]int // by address
	anonymous list.List      // of *place, the longest first
	closed    bool
}

// Listen returns l with its connections bounded. They keep the short cut from files.
func (p *Places) Listen(l net.Listener) net.Listener {
	p.changed.L, p.held = &p.mu, map[string]int{}
	return &bounded{Listener: l, places: p}
}

type bounded struct {
	net.Listener
	places *Places
}

// Accept implements net.Listener.
func (l *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		place, ok := l.places.admit(conn)
		if !ok {
			_ = conn.Close() // its address has its share, or the listener was closed
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &tcpPlace{tcp, place}, nil
		}
		return &otherPlace{conn, place}, nil
	}
}

// Close implements net.Listener.
func (l *bounded) Close() error {
	l.places.mu.Lock()
	l.places.closed = true
	l.places.changed.Broadcast()
	l.places.mu.Unlock()
	return l.Listener.Close()
}

// place is what a connection has, until it is closed or has to go.
type place struct {
	places  *Places
	conn    net.Conn
	proxied *proxied      // nil unless it comes from a proxy
	address string        // whom it counts for; empty for a proxy between requests
	waiting *list.Element // in Places.anonymous; nil if it is somebody's
	gone    bool
}

func (p *Places) admit(conn net.Conn) (*place, bool) {
	place := &place{places: p, conn: conn}
	peer := conn.RemoteAddr().String()
	if addr, ok := parseAddress(peer); ok && p.Proxies.trusts(addr) {
		place.proxied = newProxied(conn)
		peer = ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.charge(place, Address(peer)) {
		return nil, false
	}
	for p.taken >= p.Max && !p.closed {
		if !p.evict("", place) {
			p.changed.Wait()
		}
	}
	p.taken++
	place.waiting = p.anonymous.PushBack(place)
	return place, !p.closed
}

// charge counts a place for an address, if need be instead of another that belongs to nobody.
func (p *Places) charge(place *place, address string) bool {
	if address != "" && p.Share > 0 && p.held[address] >= p.Share && !p.evict(address, place) {
		return false
	}
	if place.address = address; address != "" {
		p.held[address]++
	}
	return true
}

func (p *Places) discharge(place *place) {
	if place.address == "" {
		return
	}
	if p.held[place.address]--; p.held[place.address] == 0 {
		delete(p.held, place.address)
	}
	place.address = ""
}

// evict closes the connection that has belonged to nobody for longest, of an address or of
// all; false if there is none but the one that needs a place.
func (p *Places) evict(address string, needs *place) bool {
	for e := p.anonymous.Front(); e != nil; e = e.Next() {
		place := e.Value.(*place)
		if place != needs && (address == "" || place.address == address) {
			p.leave(place)
			_ = place.conn.Close() // at once: what it has not sent yet is dropped
			return true
		}
	}
	return false
}

// leave frees a place, once.
func (p *Places) leave(place *place) {
	if place.gone {
		return
	}
	place.gone = true
	p.discharge(place)
	p.known(place)
	p.taken--
	p.changed.Signal()
}

func (p *Places) known(place *place) {
	if place.waiting != nil {
		p.anonymous.Remove(place.waiting)
		place.waiting = nil
	}
}

// begin counts a request on the connection: it is nobody's until somebody signs in. Through
// a proxy it counts for the client; false if he has his share.
func (p *place) begin(client string) bool {
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	if p.gone {
		return true // the handler notices
	}
	if p.proxied != nil {
		p.places.discharge(p)
		if !p.places.charge(p, client) {
			return false
		}
	}
	if p.waiting == nil {
		p.waiting = p.places.anonymous.PushBack(p)
		p.places.changed.Signal() // who waits may have it
	}
	return true
}

// end says that the request is over.
func (p *place) end() {
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	if p.proxied != nil {
		p.places.discharge(p)
	}
}

// signedIn says that the present request is somebody's.
func (p *place) signedIn() {
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	p.places.known(p)
}

func (p *place) close() {
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	p.places.leave(p)
}

// tcpPlace and otherPlace are connections that count.
type (
	tcpPlace struct {
		*net.TCPConn
		*place
	}
	otherPlace struct {
		net.Conn
		*place
	}
)

// Close implements net.Conn.
func (p *tcpPlace) Close() error { defer p.close(); return p.TCPConn.Close() }

// Close implements net.Conn.
func (p *otherPlace) Close() error { defer p.close(); return p.Conn.Close() }

// Read implements net.Conn.
func (p *tcpPlace) Read(b []byte) (int, error) {
	if p.proxied != nil {
		return p.proxied.Read(b)
	}
	return p.TCPConn.Read(b)
}

// Read implements net.Conn.
func (p *otherPlace) Read(b []byte) (int, error) {
	if p.proxied != nil {
		return p.proxied.Read(b)
	}
	return p.Conn.Read(b)
}

// RemoteAddr implements net.Conn. Of a proxy's connection it is the client's address, for
// which it waits.
func (p *tcpPlace) RemoteAddr() net.Addr {
	if p.proxied != nil {
		return p.proxied.RemoteAddr()
	}
	return p.TCPConn.RemoteAddr()
}

// RemoteAddr implements net.Conn.
func (p *otherPlace) RemoteAddr() net.Addr {
	if p.proxied != nil {
		return p.proxied.RemoteAddr()
	}
	return p.Conn.RemoteAddr()
}

type placeKey struct{}

// ConnContext is http.Server's, by which the router finds the place of a connection.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	switch c := conn.(type) {
	case *tcpPlace:
		return context.WithValue(ctx, placeKey{}, c.place)
	case *otherPlace:
		return context.WithValue(ctx, placeKey{}, c.place)
	}
	return ctx
}

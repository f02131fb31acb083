package edge

import (
	"net"
	"sync"
)

// Limit returns a listener with at most n connections at once; others wait where the
// system keeps them until one is closed. The connections are those of l, and keep the
// short cut from files.
func Limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), done: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	done   chan struct{} // closed with the listener
	once   sync.Once
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	leave := sync.OnceFunc(func() { <-l.places })
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &tcpPlace{tcp, leave}, nil
	}
	return &place{conn, leave}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// tcpPlace and place are connections that count.
type (
	tcpPlace struct {
		*net.TCPConn
		leave func()
	}
	place struct {
		net.Conn
		leave func()
	}
)

// Close implements net.Conn.
func (p *tcpPlace) Close() error { defer p.leave(); return p.TCPConn.Close() }

// Close implements net.Conn.
func (p *place) Close() error { defer p.leave(); return p.Conn.Close() }

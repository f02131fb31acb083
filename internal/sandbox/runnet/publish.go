//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Publication says what is published.
type Publication struct {
	Network string         // "tcp" or "udp"
	At      netip.AddrPort // of the router; port 0 takes a free one
	To      netip.AddrPort // of a container
	// Machine is an address of this machine, outside of all namespaces, where the same
	// port is published too. Invalid is nowhere.
	Machine netip.Addr
}

// Published is a published port. It is safe for concurrent use.
type Published struct {
	Port uint16 // the router's

	file  string // of the router's namespace
	quota *quota
	to    netip.AddrPort

	mu     sync.Mutex
	open   map[io.Closer]bool // listeners and connections; nil once closed
	serves sync.WaitGroup
}

// Publish passes on what comes for a port of the router to a container. What is "host" to
// a run reaches the container there, as do others through the gateway. The caller closes
// it before the container's endpoint.
func (r *Router) Publish(p Publication) (_ *Published, err error) {
	published := &Published{file: r.file, quota: r.quota, to: p.To, Port: p.At.Port(), open: map[io.Closer]bool{}}
	defer func() {
		if err != nil {
			published.Close()
		}
	}()
	if err := inside(r.file, func() error { return published.listen(p.Network, p.At) }); err != nil {
		return nil, err
	}
	if p.Machine.IsValid() {
		return published, published.listen(p.Network, netip.AddrPortFrom(p.Machine, published.Port))
	}
	return published, nil
}

// Close ends the publication and every connection through it.
func (p *Published) Close() {
	p.mu.Lock()
	for one := range p.open {
		one.Close() // nobody could do anything about an error
	}
	p.open = nil
	p.mu.Unlock()
	p.serves.Wait()
}

// keep notes what Close has to close. It closes it itself if that was before.
func (p *Published) keep(c io.Closer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *Published) drop(c io.Closer) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// listen listens in the namespace of the calling thread.
func (p *Published) listen(network string, at netip.AddrPort) error {
	switch network {
	case "tcp":
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			return fmt.Errorf("publishing %s: %w", at, err)
		}
		p.Port = listener.Addr().(*net.TCPAddr).AddrPort().Port()
		bounded := p.quota.limit(listener)
		p.keep(bounded)
		p.serves.Go(func() { p.accept(bounded) })
	case "udp":
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return fmt.Errorf("publishing %s: %w", at, err)
		}
		p.Port = conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		p.keep(conn)
		p.serves.Go(func() { p.receive(conn) })
	default:
		return fmt.Errorf("publishing %s: there is no protocol %q", at, network)
	}
	return nil
}

// dial connects to the container, from the router's namespace.
func (p *Published) dial(network string) (conn net.Conn, err error) {
	err = inside(p.file, func() (err error) {
		conn, err = net.DialTimeout(network, p.to.String(), helloTime)
		return err
	})
	return conn, err
}

func (p *Published) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed
		}
		if p.keep(conn) {
			p.serves.Go(func() { p.pass(conn) })
		}
	}
}

func (p *Published) pass(conn net.Conn) {
	defer p.drop(conn)
	up, err := p.dial("tcp")
	if err != nil || !p.keep(up) {
		return // the client sees its connection end, as with a container that does not listen
	}
	defer p.drop(up)
	splice(conn, up, nil)
}

// Datagrams have no end: a way back is kept for as long as something may come.
const (
	datagramTime   = 90 * time.Second
	datagramSize   = 64 << 10
	maxDatagramers = 1024 // clients at the same time
)

// receive passes datagrams on, each client's from a port of its own.
func (p *Published) receive(conn *net.UDPConn) {
	var mu sync.Mutex
	clients := map[netip.AddrPort]net.Conn{}
	buffer := make([]byte, datagramSize)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		mu.Lock()
		up, full := clients[from], len(clients) >= maxDatagramers
		mu.Unlock()
		if up == nil && !full {
			if up, err = p.dial("udp"); err != nil || !p.keep(up) {
				continue
			}
			mu.Lock()
			clients[from] = up
			mu.Unlock()
			p.serves.Go(func() {
				p.giveBack(conn, up, from)
				mu.Lock()
				delete(clients, from)
				mu.Unlock()
			})
		}
		if up != nil {
			up.Write(buffer[:n]) // one that is lost is lost
		}
	}
}

func (p *Published) giveBack(conn *net.UDPConn, up net.Conn, to netip.AddrPort) {
	defer p.drop(up)
	buffer := make([]byte, datagramSize)
	for {
		up.SetReadDeadline(time.Now().Add(datagramTime))
		n, err := up.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.WriteToUDPAddrPort(buffer[:n], to); err != nil {
			return
		}
	}
}

//go:build linux

package runnet

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxConnections is how many connections a service of a router has at the same time. Each
// is a file of this process or two; more wait.
const maxConnections = 128

// quota bounds the connections of all routers together, so that files are left for those
// who do not come from containers: see reserve.
type quota struct {
	slots chan struct{}
	log   *slog.Logger
}

// reserve is the part of this process's files that connections of containers do not get.
const reserve = 2

func newQuota(log *slog.Logger) *quota {
	most := uint64(1 << 16)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		most = min(most, limit.Cur)
	}
	// A connection that is passed on takes two.
	return &quota{slots: make(chan struct{}, max(1, most/2/reserve)), log: log}
}

// listener is a service of a router. It ends with the router and with nothing else: an
// error of one connection, or of a process that has no file left, is waited out.
type listener struct {
	*net.TCPListener
	accept func() (*net.TCPConn, error)
	quota  *quota
	slots  chan struct{}
	closed chan struct{}
	close  func() error
}

func (q *quota) limit(l *net.TCPListener) *listener {
	closed := make(chan struct{})
	return &listener{
		TCPListener: l, accept: l.AcceptTCP, quota: q, slots: make(chan struct{}, maxConnections), closed: closed,
		close: sync.OnceValue(func() error { close(closed); return l.Close() }),
	}
}

// Close implements net.Listener.
func (l *listener) Close() error { return l.close() }

// longestPause is how long an error of a listener is waited out at most.
const longestPause = time.Second

// Accept implements net.Listener. Its error is net.ErrClosed.
func (l *listener) Accept() (net.Conn, error) {
	if !l.take(l.slots) {
		return nil, net.ErrClosed
	}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		conn, err := l.accept()
		switch {
		case err == nil:
			if !l.take(l.quota.slots) {
				conn.Close()
				return nil, net.ErrClosed
			}
			return &limited{TCPConn: conn, release: sync.OnceFunc(func() { <-l.slots; <-l.quota.slots })}, nil
		case errors.Is(err, net.ErrClosed):
			return nil, net.ErrClosed
		}
		l.quota.log.Error("a run's network cannot take a connection, and tries again", "error", err)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// take waits for a slot, and returns false if the listener is closed meanwhile.
func (l *listener) take(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-l.closed:
		return false
	}
}

// limited is a connection that gives its slots back.
type limited struct {
	*net.TCPConn
	release func()
}

// Close implements net.Conn.
func (c *limited) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

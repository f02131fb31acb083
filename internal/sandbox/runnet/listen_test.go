//go:build linux

package runnet

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A container that keeps its connections open takes files of this process until it has as
// many as it may; what it lets go of it can have again.
func TestConnectionsAreBounded(t *testing.T) {
	_, r := openRouter(t)
	listener, err := r.Listen(netip.AddrPortFrom(MetadataAddr, 80))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 2*maxConnections)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	var held []net.Conn
	if err := inside(r.file, func() error {
		for range maxConnections + 8 {
			conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(MetadataAddr, 80)))
			if err != nil {
				return err
			}
			held = append(held, conn)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var first net.Conn
	for range maxConnections {
		first = <-accepted
	}
	select {
	case <-accepted:
		t.Fatalf("more than %d connections were taken", maxConnections)
	case <-time.After(50 * time.Millisecond): // as long as one more would take, many times over
	}
	first.Close()
	first.Close() // gives its place back once
	<-accepted
	select {
	case <-accepted:
		t.Fatal("one place was given twice")
	case <-time.After(50 * time.Millisecond):
	}
	listener.Close()
	for range accepted {
	}
	for _, conn := range held {
		conn.Close()
	}
}

// An error of one connection does not end a service, and is told.
func TestServicesOutliveErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := &quota{slots: make(chan struct{}, 1), log: slog.New(slog.NewTextHandler(&log, nil))}
		l := q.limit(nil)
		failures := []error{unix.EMFILE, unix.ECONNABORTED, unix.ENOBUFS, net.ErrClosed}
		next := 0
		l.accept = func() (*net.TCPConn, error) { next++; return nil, failures[next-1] }
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) || next != len(failures) {
			t.Errorf("the service ended after %d errors: %v", next, err)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 3 {
			t.Errorf("%d errors were told, want 3:\n%s", n, log.String())
		}
	})
}

package edge_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/acrux/acrux/internal/server/edge"
)

// No more connections are taken than there are places, and a place is free again when its
// connection is closed, once however often that is.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := make(pipes, 10)
		l := edge.Limit(pipes, 2)
		for range 4 {
			conn, _ := net.Pipe()
			pipes <- conn
		}
		accepted := make(chan net.Conn, 10)
		done := make(chan error)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					done <- err
					return
				}
				accepted <- conn
			}
		}()
		synctest.Wait()
		if len(accepted) != 2 {
			t.Fatalf("%d are connected", len(accepted))
		}
		first := <-accepted
		_, _ = first.Close(), first.Close()
		synctest.Wait()
		if len(accepted) != 2 {
			t.Errorf("%d more are connected, want 2", len(accepted))
		}
		_ = l.Close()
		if err := <-done; err == nil {
			t.Error("a closed listener goes on")
		}
	})
}

// A TCP connection keeps the way from files to it.
func TestLimitKeepsShortCut(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := edge.Limit(tcp, 1)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, ok := conn.(io.ReaderFrom); !ok {
		t.Errorf("%T takes no files", conn)
	}
}

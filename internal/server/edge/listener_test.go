package edge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
)

var discard = slog.New(slog.DiscardHandler)

// guest is a connection from an address, of which is seen whether it was closed.
type guest struct {
	net.Conn
	from   string
	closed bool
}

func (g *guest) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(g.from), 1))
}
func (g *guest) Close() error { g.closed = true; return g.Conn.Close() }

// hall is a listener in a bubble, and whom it has let in.
type hall struct {
	door chan net.Conn
	in   chan net.Conn
	l    net.Listener
	done chan error
}

func (h *hall) Accept() (net.Conn, error) {
	if conn, ok := <-h.door; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (h *hall) Close() error   { close(h.door); return nil }
func (h *hall) Addr() net.Addr { return &net.TCPAddr{} }

func newHall(p *Places) *hall {
	h := &hall{door: make(chan net.Conn, 100), in: make(chan net.Conn, 100), done: make(chan error, 1)}
	h.l = p.Listen(h)
	go func() {
		for {
			conn, err := h.l.Accept()
			if err != nil {
				h.done <- err
				return
			}
			h.in <- conn
		}
	}()
	return h
}

// come lets somebody come from an address; known has signed in there. The place is nil
// unless he was let in.
func (h *hall) come(from string, known bool) (*guest, *otherPlace) {
	conn, _ := net.Pipe()
	g := &guest{Conn: conn, from: from}
	h.door <- g
	synctest.Wait()
	if len(h.in) == 0 {
		return g, nil
	}
	place := (<-h.in).(*otherPlace)
	if known {
		place.signedIn()
	}
	return g, place
}

// When places are short, who has been nobody for longest goes, and nobody who is somebody:
// then others wait.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(&Places{Max: 3})
		known, _ := h.come("192.0.2.1", true)
		first, _ := h.come("192.0.2.2", false)
		second, place := h.come("192.0.2.3", false)
		third, _ := h.come("192.0.2.4", true)
		if known.closed || !first.closed || second.closed || third.closed {
			t.Errorf("closed: %v %v %v %v", known.closed, first.closed, second.closed, third.closed)
		}
		place.signedIn()
		if _, in := h.come("192.0.2.5", false); in != nil {
			t.Error("more are in than there are places")
		}
		_, _ = place.Close(), place.Close()
		synctest.Wait()
		if len(h.in) != 1 {
			t.Errorf("%d came in for the one who left", len(h.in))
		}
		_ = h.l.Close()
		if err := <-h.done; err == nil {
			t.Error("a closed listener goes on")
		}
	})
}

// Whoever had a request that was somebody's is nobody again with the next one, from then on.
func TestPlacesOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(&Places{Max: 2})
		old, place := h.come("192.0.2.1", true)
		young, _ := h.come("192.0.2.2", false)
		place.begin("192.0.2.1")
		_, _ = h.come("192.0.2.3", true)
		if old.closed || !young.closed {
			t.Error("the connection that has been nobody's for longest is there")
		}
		_, _ = h.come("192.0.2.4", true)
		if !old.closed {
			t.Error("a connection that is nobody's is there")
		}
		_ = h.l.Close()
		<-h.done
	})
}

// An address has its share: at the end of it its own connections go, and none of others.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(&Places{Max: 100, Share: 2, Proxies: Proxies{netip.MustParsePrefix("10.0.0.0/8")}})
		other, _ := h.come("192.0.2.9", false)
		first, _ := h.come("2001:db8::1", false)
		_, _ = h.come("2001:db8::2", true)
		_, third := h.come("2001:db8::3", true)
		if !first.closed || other.closed || third == nil {
			t.Error("the address's own first connection did not go")
		}
		if g, in := h.come("2001:db8::4", false); in != nil || !g.closed {
			t.Error("an address has more than its share")
		}
		_ = third.Close()
		if _, in := h.come("2001:db8::4", true); in == nil {
			t.Error("a place that was left is not free")
		}
		var held []*otherPlace
		for range 5 {
			_, in := h.come("10.0.0.1", false)
			if held = append(held, in); in == nil {
				t.Fatal("a proxy has a share")
			}
		}
		if !held[0].begin("192.0.2.7") || !held[1].begin("192.0.2.7") || !held[2].begin("192.0.2.8") {
			t.Error("clients of a proxy have no share")
		}
		held[1].signedIn()
		if !held[3].begin("192.0.2.7") || !held[0].gone {
			t.Error("the client's own first request did not go")
		}
		held[3].signedIn()
		if held[4].begin("192.0.2.7") {
			t.Error("a client of a proxy has more than his share")
		}
		held[3].end()
		if !held[4].begin("192.0.2.7") {
			t.Error("a request that is over counts")
		}
		_ = h.l.Close()
		<-h.done
	})
}

// A TCP connection keeps the way from files to it.
func TestPlacesKeepShortCut(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := (&Places{Max: 1}).Listen(tcp)
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

// A server whose places nobodies have filled still serves who signs in, with TLS and without.
func TestFullServer(t *testing.T) {
	for name, secured := range map[string]bool{"plain": false, "TLS": true} {
		router := &Router{Log: discard}
		router.Host("x.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			SignedIn(r.Context())
			_, _ = io.WriteString(w, "hello")
		}))
		server := httptest.NewUnstartedServer(router)
		server.Config.ConnContext, server.Config.ErrorLog = ConnContext, slog.NewLogLogger(discard.Handler(), slog.LevelDebug)
		server.Listener = (&Places{Max: 4}).Listen(server.Listener)
		if secured {
			server.StartTLS()
		} else {
			server.Start()
		}
		for range 20 {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		for i := range 5 {
			req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, nil)
			req.Host = "x.test"
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatalf("%s: request %d: %v", name, i, err)
			}
			if body, _ := io.ReadAll(res.Body); fmt.Sprint(res.StatusCode, string(body)) != "200hello" {
				t.Errorf("%s: %d %s", name, res.StatusCode, body)
			}
			_ = res.Body.Close()
		}
		server.Close()
	}
}

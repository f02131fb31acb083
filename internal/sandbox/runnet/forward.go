//go:build linux

package runnet

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"
)

// helloTime is how long a client has to say whom it wants.
const helloTime = 10 * time.Second

// forwardOwn passes connections on to the own host that the client asks for. It does
// not look into them: the client speaks TLS with that host.
func forwardOwn(listener net.Listener, port uint16, own func(string) (string, bool), source net.IP) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // the router was closed
		}
		go func() {
			defer conn.Close()
			if up, hello := dialOwn(conn, port, own, source); up != nil {
				defer up.Close()
				splice(conn, up, hello)
			}
		}()
	}
}

// dialOwn reads whom the client wants and connects to it. It returns what was read.
func dialOwn(conn net.Conn, port uint16, own func(string) (string, bool), source net.IP) (net.Conn, []byte) {
	conn.SetReadDeadline(time.Now().Add(helloTime))
	name, hello := wanted(conn)
	conn.SetReadDeadline(time.Time{})
	if name == "" {
		return nil, nil
	}
	addr, ok := own(net.JoinHostPort(name, strconv.Itoa(int(port))))
	if !ok {
		if addr, ok = own(name); !ok {
			return nil, nil
		}
	}
	up, err := dialFrom(source, addr)
	if err != nil {
		return nil, nil // the client sees its connection end, as with any host that is down
	}
	return up, hello
}

// sources counts the routers that have had a source.
var sources atomic.Uint32

// newSource is an address that a router's connections to own hosts come from: one of the
// machine's loopback, so that the server tells runs apart, and from a proxy on the machine
// whose word about its clients it may believe (edge.Proxies).
func newSource() net.IP {
	n := sources.Add(1)
	return net.IPv4(127, 28, byte(n>>8), byte(n))
}

func dialFrom(source net.IP, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: helloTime}
	if to, err := netip.ParseAddrPort(addr); err == nil && to.Addr().Unmap().Is4() {
		dialer.LocalAddr = &net.TCPAddr{IP: source}
	}
	return dialer.Dial("tcp", addr)
}

// wanted reads the beginning of a TLS connection and finds the name of the server in
// it. The standard library's server does the reading, and is stopped once it knows.
func wanted(conn net.Conn) (name string, hello []byte) {
	tape := &recorder{Conn: conn}
	stop := errors.New("read enough")
	tls.Server(tape, &tls.Config{
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			name = info.ServerName
			return nil, stop
		},
	}).Handshake()
	return name, tape.read.Bytes()
}

// recorder keeps what is read and sends nothing.
type recorder struct {
	net.Conn
	read bytes.Buffer
}

// Read implements io.Reader.
func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read.Write(p[:n])
	return n, err
}

// Write implements io.Writer.
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }

// splice copies both ways until both have ended.
func splice(client, server net.Conn, hello []byte) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(server, io.MultiReader(bytes.NewReader(hello), client))
		closeWrite(server)
	}()
	io.Copy(client, server)
	closeWrite(client)
	<-done
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

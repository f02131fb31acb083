package edge

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// proxied is a connection from a proxy, which may begin with the PROXY protocol, version 1
// or 2 (haproxy.org, doc/proxy-protocol.txt): whose connection it is that the proxy passes
// on. TLS and HTTP begin otherwise, so it is seen whether it does.
type proxied struct {
	net.Conn

	once   sync.Once
	reader *bufio.Reader // what was read with the header; nil when it is used up
	client net.Addr
	err    error
}

func newProxied(conn net.Conn) *proxied { return &proxied{Conn: conn, client: conn.RemoteAddr()} }

// headerTime is how long a proxy may take to say whose connection it is.
const headerTime = 10 * time.Second

// RemoteAddr implements net.Conn. It waits until the client is known.
func (p *proxied) RemoteAddr() net.Addr {
	p.once.Do(p.begin)
	return p.client
}

// Read implements io.Reader.
func (p *proxied) Read(b []byte) (int, error) {
	p.once.Do(p.begin)
	switch {
	case p.err != nil:
		return 0, p.err
	case p.reader == nil:
		return p.Conn.Read(b)
	}
	if p.reader.Buffered() == 0 {
		p.reader = nil
		return p.Conn.Read(b)
	}
	return p.reader.Read(b[:min(len(b), p.reader.Buffered())])
}

func (p *proxied) begin() {
	_ = p.Conn.SetReadDeadline(time.Now().Add(headerTime)) // the server sets its own later
	defer func() { _ = p.Conn.SetReadDeadline(time.Time{}) }()
	p.reader = bufio.NewReaderSize(p.Conn, maxHeader)
	client, err := readHeader(p.reader)
	if err != nil {
		p.err = fmt.Errorf("the PROXY protocol: %w", err)
	} else if client.IsValid() {
		p.client = net.TCPAddrFromAddrPort(client)
	}
}

// maxHeader bounds a header with what it has beside addresses, in bytes.
const maxHeader = 2 << 10

var (
	version1 = []byte("PROXY ")
	version2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

	errHeader = errors.New("the header is not valid")
)

// readHeader reads whose connection it is; nobody's if there is no header, or none that says.
func readHeader(r *bufio.Reader) (client netip.AddrPort, err error) {
	first, err := r.Peek(1)
	if err != nil {
		return client, err
	}
	for _, version := range []struct {
		magic []byte
		read  func(*bufio.Reader) (netip.AddrPort, error)
	}{{version1, readText}, {version2, readBinary}} {
		if first[0] != version.magic[0] {
			continue
		}
		begin, err := r.Peek(len(version.magic))
		if err != nil {
			return client, err
		}
		if bytes.Equal(begin, version.magic) {
			return version.read(r)
		}
	}
	return client, nil
}

// maxLine is the longest header of version 1, in bytes.
const maxLine = 107

// readText reads PROXY TCP4 SOURCE DESTINATION PORT PORT.
func readText(r *bufio.Reader) (client netip.AddrPort, err error) {
	var line []byte
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		b, err := r.ReadByte()
		if err != nil {
			return client, err
		}
		if line = append(line, b); len(line) > maxLine {
			return client, errHeader
		}
	}
	words := strings.Fields(string(line))
	switch {
	case len(words) >= 2 && words[1] == "UNKNOWN":
		return client, nil
	case len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6":
		return client, errHeader
	}
	return netip.ParseAddrPort(net.JoinHostPort(words[2], words[4]))
}

// The parts of a header of version 2.
const (
	command    = 12 // where the version and the command stand
	fixed      = 16 // bytes before the addresses
	local      = 0x20
	passedOn   = 0x21
	overTCPv4  = 0x11
	overTCPv6  = 0x21
	bytesOfTCP = 4 // both ports
)

func readBinary(r *bufio.Reader) (client netip.AddrPort, err error) {
	head := make([]byte, fixed)
	if _, err := io.ReadFull(r, head); err != nil {
		return client, err
	}
	size := int(binary.BigEndian.Uint16(head[14:]))
	if size > maxHeader {
		return client, errHeader
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return client, err
	}
	switch {
	case head[command] == local:
		return client, nil
	case head[command] != passedOn:
		return client, errHeader
	}
	length := map[byte]int{overTCPv4: net.IPv4len, overTCPv6: net.IPv6len}[head[13]]
	if length == 0 {
		return client, nil // a socket of another sort
	}
	if size < 2*length+bytesOfTCP {
		return client, errHeader
	}
	addr, _ := netip.AddrFromSlice(rest[:length]) // 4 or 16 bytes
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(rest[2*length:])), nil
}

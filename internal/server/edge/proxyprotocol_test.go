package edge

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// v2 is a header of version 2.
func v2(command, family byte, rest string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	ipv4 = "\xc6\x33\x64\x01\x0a\x00\x00\x01\x00\x63\x01\xbb" // 198.51.100.1:99 to 10.0.0.1:443
	ipv6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
)

// A header says who the client is, and what follows it is his; without one, all is.
func TestReadHeader(t *testing.T) {
	for name, test := range map[string]struct{ text, client, rest string }{
		"none":              {"GET / HTTP/1.1", "", "GET / HTTP/1.1"},
		"TLS":               {"\x16\x03\x01 hello", "", "\x16\x03\x01 hello"},
		"another method":    {"PROPFIND /", "", "PROPFIND /"},
		"version 1":         {"PROXY TCP4 198.51.100.1 10.0.0.1 99 443\r\nhello", "198.51.100.1:99", "hello"},
		"version 1, IPv6":   {"PROXY TCP6 2001:db8::7 ::1 99 443\r\n", "[2001:db8::7]:99", ""},
		"version 1, no one": {"PROXY UNKNOWN\r\nhello", "", "hello"},
		"version 2":         {v2(0x21, 0x11, ipv4) + "hello", "198.51.100.1:99", "hello"},
		"version 2, more":   {v2(0x21, 0x11, ipv4+"\x04\x00\x01x") + "hello", "198.51.100.1:99", "hello"},
		"version 2, IPv6":   {v2(0x21, 0x21, ipv6+ipv6+"\x00\x63\x01\xbb"), "[2001:db8::7]:99", ""},
		"version 2, itself": {v2(0x20, 0x00, "") + "hello", "", "hello"},
		"version 2, a file": {v2(0x21, 0x31, strings.Repeat("x", 216)) + "hello", "", "hello"},
	} {
		r := bufio.NewReaderSize(strings.NewReader(test.text), maxHeader)
		client, err := readHeader(r)
		rest, _ := io.ReadAll(r)
		got := ""
		if client.IsValid() {
			got = client.String()
		}
		if err != nil || got != test.client || string(rest) != test.rest {
			t.Errorf("%s: %s, then %q, %v", name, client, rest, err)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "half": "PRO", "no end": "PROXY TCP4 " + strings.Repeat("1", 200),
		"no address": "PROXY TCP4 x y 1 2\r\n", "too few": "PROXY TCP4 192.0.2.1\r\n",
		"another protocol": "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "a port that is none": "PROXY TCP4 192.0.2.1 192.0.2.2 x 2\r\n",
		"half of version 2": "\r\n\r\n\x00\r\nQUIT\n\x21", "version 3": v2(0x31, 0x11, ipv4),
		"no addresses": v2(0x21, 0x11, "x"), "cut": v2(0x21, 0x11, ipv4)[:20],
		"too long": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("x", 1<<16),
	} {
		if client, err := readHeader(bufio.NewReaderSize(strings.NewReader(text), maxHeader)); err == nil {
			t.Errorf("%s: %s", name, client)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 198.51.100.1 10.0.0.1 99 443\r\nhello"))
	f.Add([]byte(v2(0x21, 0x11, ipv4)))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(text), maxHeader)
		if client, err := readHeader(r); err == nil && !client.IsValid() {
			if rest, _ := io.ReadAll(r); len(rest) > len(text) {
				t.Errorf("%q became %q", text, rest)
			}
		}
	})
}

// asked serves who the client is, as the server is put together, and asks it on a connection
// that begins with a text.
func asked(t *testing.T, trusted Proxies, secured bool, begin, xff string) string {
	t.Helper()
	router := &Router{Log: discard, Proxies: trusted}
	router.Host("x.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, Address(r.RemoteAddr))
	}))
	server := httptest.NewUnstartedServer(router)
	server.Config.ConnContext, server.Config.ErrorLog = ConnContext, slog.NewLogLogger(discard.Handler(), slog.LevelDebug)
	server.Listener = (&Places{Max: 10, Share: 10, Proxies: trusted}).Listen(server.Listener)
	start := server.Start
	if secured {
		start = server.StartTLS
	}
	start()
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		if err == nil {
			_, err = io.WriteString(conn, begin)
		}
		return conn, err
	}
	req, _ := http.NewRequest(http.MethodGet, server.URL, nil)
	req.Host = "x.test"
	req.Header.Set("X-Forwarded-For", xff)
	res, err := server.Client().Do(req)
	if err != nil {
		return "refused"
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// The PROXY protocol and headers count together, from proxies, with TLS and without.
func TestClientOfConnection(t *testing.T) {
	here := Proxies{netip.MustParsePrefix("127.0.0.0/8")}
	for _, secured := range []bool{false, true} {
		for name, test := range map[string]struct {
			trusted          Proxies
			begin, xff, want string
		}{
			"a stranger with a header":     {nil, "", "198.51.100.1", "127.0.0.1"},
			"a stranger with the protocol": {nil, "PROXY TCP4 198.51.100.1 127.0.0.1 9 9\r\n", "", "refused"},
			"the header":                   {here, "", "198.51.100.1", "198.51.100.1"},
			"the protocol":                 {here, "PROXY TCP4 198.51.100.1 127.0.0.1 9 9\r\n", "", "198.51.100.1"},
			"a header behind the protocol": {here, "PROXY TCP4 198.51.100.1 127.0.0.1 9 9\r\n", "203.0.113.9", "198.51.100.1"},
			"a proxy behind the protocol": {here,
				v2(0x21, 0x11, "\x7f\x00\x00\x07\x7f\x00\x00\x01\x00\x63\x01\xbb"), "203.0.113.9", "203.0.113.9"},
			"a protocol that is not as told": {here, "PROXY TCP4 nonsense\r\n", "", "refused"},
		} {
			got := asked(t, test.trusted, secured, test.begin, test.xff)
			if got == "400 Bad Request" { // without TLS there is an answer
				got = "refused"
			}
			if got != test.want {
				t.Errorf("TLS %v, %s: %q, want %q", secured, name, got, test.want)
			}
		}
	}
}

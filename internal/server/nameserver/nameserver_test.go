package nameserver_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/acrux/acrux/internal/server/nameserver"
)

func start(t *testing.T, addr string) *nameserver.Server {
	t.Helper()
	s := &nameserver.Server{Domain: "acrux.localhost", Addr: netip.MustParseAddr(addr), Log: slog.New(slog.DiscardHandler)}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return s
}

// Connections that ask nothing take no more of the server's files than they may.
func TestConnectionsAreBounded(t *testing.T) {
	s := start(t, "127.0.0.9")
	ask := func(network string) error {
		client := &dns.Client{Net: network, Timeout: time.Second}
		_, _, err := client.Exchange(new(dns.Msg).SetQuestion("x.acrux.localhost.", dns.TypeA), s.Address())
		return err
	}
	var idle []net.Conn
	for range 128 {
		conn, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	if err := ask("tcp"); err == nil {
		t.Error("there is a place for one more")
	}
	if err := ask("udp"); err != nil {
		t.Errorf("without a connection: %v", err)
	}
	for _, conn := range idle {
		conn.Close()
	}
	if err := ask("tcp"); err != nil {
		t.Errorf("after the others have gone: %v", err)
	}
}

func TestAnswers(t *testing.T) {
	s := start(t, "127.0.0.9")
	for _, network := range []string{"udp", "tcp"} {
		for _, test := range []struct {
			name  string
			qtype uint16
			class uint16
			rcode int
			want  string
		}{
			{"management.acrux.localhost.", dns.TypeA, dns.ClassINET, dns.RcodeSuccess, "127.0.0.9"},
			{"MyRegistry.AzureCR.acrux.localhost.", dns.TypeA, dns.ClassINET, dns.RcodeSuccess, "127.0.0.9"},
			{"acrux.localhost.", dns.TypeA, dns.ClassINET, dns.RcodeSuccess, "127.0.0.9"},
			{"a.acrux.localhost.", dns.TypeAAAA, dns.ClassINET, dns.RcodeSuccess, ""},
			{"a.acrux.localhost.", dns.TypeMX, dns.ClassINET, dns.RcodeSuccess, ""},
			{"a.acrux.localhost.", dns.TypeA, dns.ClassCHAOS, dns.RcodeRefused, ""},
			{"notacrux.localhost.", dns.TypeA, dns.ClassINET, dns.RcodeRefused, ""},
			{"example.org.", dns.TypeA, dns.ClassINET, dns.RcodeRefused, ""},
			{".", dns.TypeNS, dns.ClassINET, dns.RcodeRefused, ""},
		} {
			message := new(dns.Msg).SetQuestion(test.name, test.qtype)
			message.Question[0].Qclass = test.class
			reply, _, err := (&dns.Client{Net: network}).Exchange(message, s.Address())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(reply.Answer) == 1 {
				got = reply.Answer[0].(*dns.A).A.String()
			}
			if reply.Rcode != test.rcode || got != test.want || len(reply.Answer) > 1 {
				t.Errorf("%s %s: got %s %q, want %s %q", network, test.name, dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[test.rcode], test.want)
			}
		}
	}
}

// What is no question is answered as such, or not at all; nothing breaks.
func TestNoQuestion(t *testing.T) {
	s := start(t, "::1")
	empty := new(dns.Msg)
	empty.Id = 7
	update := new(dns.Msg).SetUpdate("acrux.localhost.")
	for name, message := range map[string]*dns.Msg{"no question": empty, "an update": update} {
		reply, _, err := (&dns.Client{Net: "tcp"}).Exchange(message, s.Address())
		if err == nil && reply.Rcode == dns.RcodeSuccess {
			t.Errorf("%s succeeds", name)
		}
	}
	reply, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("x.acrux.localhost.", dns.TypeAAAA), s.Address())
	if err != nil || len(reply.Answer) != 1 || reply.Answer[0].(*dns.AAAA).AAAA.String() != "::1" {
		t.Errorf("%v, %v", reply, err)
	}
}

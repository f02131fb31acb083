// Package nameserver answers for the names of an installation, for those who prefer a
// line in a resolver's configuration to lines in the hosts file: every name at or below
// the domain has the server's address. It knows nothing else and asks nobody.
package nameserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

// maxConns is how many connections there may be at once. Each ends when nothing is asked for
// some seconds; whoever comes meanwhile waits.
const maxConns = 128

// ttl is how long an answer may be kept, in seconds.
const ttl = 60

// Server is a name server over UDP and TCP (RFC 1035, RFC 7766). Its fields are set once.
type Server struct {
	Domain string     // without a dot at the end
	Addr   netip.Addr // what every name below it has
	Log    *slog.Logger

	udp net.PacketConn
	tcp net.Listener
}

// Listen takes the address, for both protocols. Run answers then; without Run, Close.
func (s *Server) Listen(address string) error {
	_, port, _ := net.SplitHostPort(address)
	for range openTries {
		// A port that the system has chosen for one may be taken for the other.
		if err := s.listen(address); port != "0" || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return s.listen(address)
}

// openTries is how many more ports are tried where the address leaves it open.
const openTries = 9

func (s *Server) listen(address string) error {
	var err error
	if s.udp, err = net.ListenPacket("udp", address); err != nil {
		return fmt.Errorf("the name server: %w", err)
	}
	// The same port for both, also where the address leaves it open.
	if s.tcp, err = net.Listen("tcp", s.udp.LocalAddr().String()); err != nil {
		return errors.Join(fmt.Errorf("the name server: %w", err), s.udp.Close())
	}
	return nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.udp.LocalAddr().String() }

// Close gives the address back.
func (s *Server) Close() error { return errors.Join(s.udp.Close(), s.tcp.Close()) }

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	servers := []*dns.Server{{PacketConn: s.udp, Handler: s}, {Listener: netutil.LimitListener(s.tcp, maxConns), Handler: s}}
	ended := make(chan error, len(servers))
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- server.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-ended:
			return errors.Join(err, s.Close())
		}
	}
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-ended:
		errs = append(errs, err)
	}
	for _, server := range servers {
		errs = append(errs, server.Shutdown())
	}
	return errors.Join(errs...)
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	if err := w.WriteMsg(s.answer(request)); err != nil {
		s.Log.Debug("a name server's answer was not sent", "err", err)
	}
}

func (s *Server) answer(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	if request.Opcode != dns.OpcodeQuery || len(request.Question) != 1 {
		return reply.SetRcode(request, dns.RcodeNotImplemented)
	}
	question := request.Question[0]
	if question.Qclass != dns.ClassINET || !s.own(question.Name) {
		return reply.SetRcode(request, dns.RcodeRefused)
	}
	reply.SetReply(request)
	reply.Authoritative = true
	head := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: ttl}
	switch {
	case question.Qtype == dns.TypeA && s.Addr.Is4():
		reply.Answer = []dns.RR{&dns.A{Hdr: head, A: s.Addr.AsSlice()}}
	case question.Qtype == dns.TypeAAAA && s.Addr.Is6():
		reply.Answer = []dns.RR{&dns.AAAA{Hdr: head, AAAA: s.Addr.AsSlice()}}
	}
	return reply // other types are there, and empty
}

func (s *Server) own(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return name == s.Domain || strings.HasSuffix(name, "."+s.Domain)
}

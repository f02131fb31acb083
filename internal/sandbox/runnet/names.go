//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Services are what a router offers its containers at ServiceAddr: the answers to
// questions for names, and a way to the hosts of the installation itself, which may
// have names that no other name server knows and addresses that no step reaches.
type Services struct {
	// Own gives the address of an own host, "name" or "name:port". May be nil.
	Own func(host string) (addr string, ok bool)
	// Ports are those on which own hosts are offered. They are told apart by the name
	// that a TLS client asks for.
	Ports []uint16
	// Upstream are the name servers for all other names; without any, none exists.
	Upstream []netip.AddrPort
}

// Serve offers services until the router is closed.
func (r *Router) Serve(s Services) error {
	conn, err := r.listenPacket(netip.AddrPortFrom(ServiceAddr, 53))
	if err != nil {
		return err
	}
	n := &nameServer{router: r, services: s, conn: conn, slots: make(chan struct{}, questions)}
	go n.serve()
	if s.Own == nil {
		return nil
	}
	source := newSource()
	for _, port := range s.Ports {
		listener, err := r.Listen(netip.AddrPortFrom(ServiceAddr, port))
		if err != nil {
			return err
		}
		go forwardOwn(listener, port, s.Own, source)
	}
	return nil
}

func (r *Router) listenPacket(addr netip.AddrPort) (net.PacketConn, error) {
	var conn *net.UDPConn
	err := inside(r.file, func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on %s in the run's network: %w", addr, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, conn)
	return conn, nil
}

// questions is how many a router passes on at the same time; more are dropped, and
// asked again by who asked.
const questions = 64

// answerTime is how long another name server has.
const answerTime = 5 * time.Second

// nameServer answers for the containers of a router.
type nameServer struct {
	router   *Router
	services Services
	conn     net.PacketConn
	slots    chan struct{}
}

func (n *nameServer) serve() {
	buffer := make([]byte, 4096)
	for {
		size, caller, err := n.conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return // with the router
		}
		if err != nil {
			n.router.quota.log.Error("a question for a name could not be read", "error", err)
			time.Sleep(longestPause)
			continue
		}
		question := append([]byte(nil), buffer[:size]...)
		if answer := n.answer(question, caller); answer != nil {
			n.conn.WriteTo(answer, caller)
			continue
		}
		select {
		case n.slots <- struct{}{}:
			go func() { defer func() { <-n.slots }(); n.pass(question, caller) }()
		default:
		}
	}
}

// answer is what the router knows itself; nil if others must be asked, or if the
// message is none.
func (n *nameServer) answer(message []byte, caller net.Addr) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil || header.Response {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	addrs, known := n.lookup(strings.TrimSuffix(strings.ToLower(question.Name.String()), "."), caller)
	switch {
	case known:
		reply.Answers = records(question, addrs)
	case len(n.services.Upstream) > 0:
		return nil
	default:
		reply.RCode = dnsmessage.RCodeNameError
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (n *nameServer) lookup(name string, caller net.Addr) ([]netip.Addr, bool) {
	if from, ok := caller.(*net.UDPAddr); ok {
		if addrs := n.router.member(name, from.AddrPort().Addr().Unmap()); len(addrs) > 0 {
			return addrs, true
		}
	}
	if n.services.Own == nil {
		return nil, false
	}
	_, own := n.services.Own(name)
	return []netip.Addr{ServiceAddr}, own
}

// member finds a container by name on the network that the caller is on.
func (r *Router) member(name string, caller netip.Addr) []netip.Addr {
	r.mu.Lock()
	networks := r.all
	r.mu.Unlock()
	for _, network := range networks {
		if network.options.Names && network.v4.Contains(caller) {
			return network.named(name)
		}
	}
	return nil
}

func (n *Network) named(name string) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	var addrs []netip.Addr
	for _, member := range n.members {
		for _, own := range member.container.Names {
			if strings.EqualFold(own, name) {
				addrs = append(addrs, member.Addr)
				if member.Addr6.IsValid() {
					addrs = append(addrs, member.Addr6)
				}
			}
		}
	}
	return addrs
}

func records(question dnsmessage.Question, addrs []netip.Addr) []dnsmessage.Resource {
	var resources []dnsmessage.Resource
	header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: dnsmessage.ClassINET, TTL: 1}
	for _, addr := range addrs {
		switch {
		case question.Type == dnsmessage.TypeA && addr.Is4():
			resources = append(resources, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case question.Type == dnsmessage.TypeAAAA && addr.Is6():
			resources = append(resources, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return resources
}

// pass asks the other name servers, one after the other.
func (n *nameServer) pass(question []byte, caller net.Addr) {
	for _, server := range n.services.Upstream {
		if answer, err := ask(server, question); err == nil {
			n.conn.WriteTo(answer, caller)
			return
		}
	}
}

// ask asks from the machine's own network, where this process is.
func ask(server netip.AddrPort, question []byte) ([]byte, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	buffer := make([]byte, 65535)
	size, err := conn.Read(buffer)
	return buffer[:size], err
}

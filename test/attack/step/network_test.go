//go:build linux && cgo

package step_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/agent/imds"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// outsideAt is the variable with the address of somebody who is not the machine.
const outsideAt = "ACRUX_TEST_OUTSIDE"

// lan makes a network of the machine, and somebody outside who answers there.
func lan(t *testing.T) string {
	t.Helper()
	go greet(enginetest.Outside(t))
	return enginetest.OutsideAt
}

// greet speaks to whoever connects, until the listener is closed.
func greet(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = fmt.Fprintln(conn, "you are through") // who hung up hears nothing
			_ = conn.Close()
		}()
	}
}

// machineListens opens a listener on all addresses of the machine, for TCP and UDP.
func machineListens(t *testing.T) (port string) {
	t.Helper()
	listener, packets, err := listenBoth()
	for range 10 { // who has the port for UDP alone is anybody
		if err == nil {
			break
		}
		listener, packets, err = listenBoth()
	}
	must(t, err)
	t.Cleanup(func() { listener.Close(); packets.Close() })
	go greet(listener)
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	go func() {
		buffer := make([]byte, 64)
		for {
			_, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo([]byte("you are through\n"), from)
		}
	}()
	return port
}

// listenBoth opens one port of all addresses for TCP and for UDP.
func listenBoth() (net.Listener, net.PacketConn, error) {
	listener, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		return nil, nil, err
	}
	packets, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		listener.Close()
		return nil, nil, err
	}
	return listener, packets, nil
}

// linkLocal is an IPv6 address that a device of the machine has by itself.
func linkLocal() string {
	if device, err := net.InterfaceByName("lan0"); err == nil {
		addrs, _ := device.Addrs()
		for _, addr := range addrs {
			if prefix, ok := addr.(*net.IPNet); ok && prefix.IP.To4() == nil {
				return prefix.IP.String()
			}
		}
	}
	return "fe80::1"
}

// targets are ways to a port of the machine, as the probe reads them.
func targets(port string) (list []string) {
	for _, a := range []struct{ name, addr string }{
		{"its address", enginetest.MachineAt}, {"its broadcast address", "198.51.100.255"}, {"loopback", "127.0.0.1"}, {"another loopback", "127.0.0.53"},
		{"nowhere", "0.0.0.0"}, {"its end of the link", "100.127.0.1"}, {"its end of another link", "100.127.0.5"}, {"a third link", "100.127.0.9"},
		{"another run's router", "100.127.0.6"}, {"the gateway", "172.28.0.1"}, {"metadata", "169.254.169.254"}, {"the run's services", "169.254.169.253"},
		{"Azure's fabric", "168.63.129.16"}, {"docker's bridge", "172.17.0.1"}, {"all of the link", "255.255.255.255"},
		{"loopback of IPv6", "::1"}, {"its address, mapped", "::ffff:" + enginetest.MachineAt}, {"its address by 6to4", "2002:c633:6401::1"}, {"its address by NAT64", "64:ff9b::c633:6401"},
		{"its link-local address by eth0", linkLocal() + "%eth0"}, {"its link-local address by up0", linkLocal() + "%up0"},
		{"all nodes by eth0", "ff02::1%eth0"}, {"all nodes by up0", "ff02::1%up0"},
	} {
		for _, network := range []string{"tcp", "udp"} {
			list = append(list, fmt.Sprintf("%s by %s=%s=%s", a.name, network, network, net.JoinHostPort(a.addr, port)))
		}
	}
	return list
}

// networkOfMachine tries the machine's ports from a step, from what is the host to the run,
// and from a RUN. On a Docker Engine the machine is the engine's, which its documentation says.
func networkOfMachine(t *testing.T, p *place) {
	if p.kind == onEngine {
		return
	}
	port := machineListens(t)
	r := p.open(t, nil)
	p.open(t, nil) // another run, with a router
	r.command(t, engine.Command{Args: []string{"true"}})
	must(t, r.CreateNetwork(t.Context(), engine.Network{Name: "net"}))
	control := "control: somebody outside=tcp=" + os.Getenv(outsideAt)
	list := append([]string{control}, targets(port)...)
	look := func(t *testing.T, out string) {
		found := probed.FindAllStringSubmatch(out, -1)
		if len(found) != len(list) {
			t.Errorf("%d of %d attempts were made:\n%s", len(found), len(list), out)
		}
		for _, attempt := range found {
			t.Run(attempt[1], func(t *testing.T) {
				if through := attempt[2] == "through"; through != strings.HasPrefix(attempt[1], "control") {
					t.Error(attempt[0])
				}
			})
		}
	}
	for _, network := range []string{"net", "host"} {
		t.Run("from a step in the network "+network, func(t *testing.T) {
			_, out := r.command(t, engine.Command{Network: network, Args: append([]string{"/workspace/probe", "connect"}, list...)})
			look(t, out)
		})
	}
	t.Run("from a RUN", func(t *testing.T) {
		_, out := r.build(t, "FROM "+p.Base+"\nCOPY probe /\nRUN [\"/probe\",\"connect\",\""+strings.Join(list, "\",\"")+"\"]\n", engine.Build{NoCache: true})
		_, out, _ = strings.Cut(out, "Step 3/3") // whose line has the attempts as well
		_, out, _ = strings.Cut(out, "\n")
		look(t, out)
	})
	t.Run("control: the machine itself", func(t *testing.T) {
		conn, err := net.DialTimeout("tcp", machineOr(net.JoinHostPort(enginetest.MachineAt, port), port), time.Second)
		must(t, err)
		must(t, conn.Close())
	})
}

// machineOr is an address of the machine, or loopback where it has none.
func machineOr(addr, port string) string {
	if _, err := net.InterfaceByName("lan0"); err != nil {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// kinds are those of frames that a step may try to tell the machine something with.
var kinds = map[uint16]string{
	0x86dd: "IPv6", 0x88cc: "LLDP", 0x8863: "PPPoE discovery", 0x8864: "PPPoE", 0x888e: "EAPOL", 0x8847: "MPLS",
	0x0842: "wake on LAN", 0x8137: "IPX", 0x88e5: "MACsec", 0x8906: "FCoE", 0x88a2: "ATA over Ethernet", 0x88f7: "PTP", 0x8035: "RARP", 0x809b: "AppleTalk", 0x9000: "loopback",
}

// counter counts frames of a kind that a device of this machine has taken in, past what is
// dropped at its gate.
func counter(t *testing.T, device string, kind uint16) func() int {
	t.Helper()
	link, err := netlink.LinkByName(device)
	must(t, err)
	swapped := kind<<8 | kind>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, int(swapped))
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swapped, Ifindex: link.Attrs().Index}))
	return func() (n int) {
		buffer := make([]byte, 2048)
		for {
			size, _, err := unix.Recvfrom(fd, buffer, 0)
			if err != nil {
				return n
			}
			if size > 13 && (kind == unix.ETH_P_ALL || buffer[6] == 2 && buffer[11] == 7) { // from the probe
				n++
			}
		}
	}
}

// framesToMachine sends frames out of a run's router, to the machine's end of the link.
func framesToMachine(t *testing.T, p *place) {
	if p.kind != asRoot { // others have no such link
		return
	}
	r := p.open(t, nil)
	r.command(t, engine.Command{Args: []string{"true"}})
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "ctl0"
	pair := netlink.NewVeth(attrs)
	pair.PeerName = "ctl1"
	must(t, netlink.LinkAdd(pair))
	t.Cleanup(func() { _ = netlink.LinkDel(pair) })
	peer, err := netlink.LinkByName("ctl1")
	must(t, err)
	must(t, netlink.LinkSetUp(pair))
	must(t, netlink.LinkSetUp(peer))
	links, err := netlink.LinkList()
	must(t, err)
	counts, controls, taps, list := map[uint16][]func() int{}, map[uint16]func() int{}, []func() int{}, []string{}
	for _, link := range links {
		if name := link.Attrs().Name; strings.HasPrefix(name, "acx") {
			taps = append(taps, counter(t, name, unix.ETH_P_ALL))
			for kind := range kinds {
				counts[kind] = append(counts[kind], counter(t, name, kind))
			}
		}
	}
	for kind := range kinds {
		controls[kind] = counter(t, "ctl1", kind)
		list = append(list, fmt.Sprintf("%04x", kind))
	}
	send := []string{"/workspace/probe", "frames", strings.Join(list, ",")}
	_, out := r.command(t, engine.Command{Network: "host", Args: send})
	err = exec.CommandContext(t.Context(), p.probe, send[1:]...).Run()
	must(t, err)
	time.Sleep(200 * time.Millisecond) // what is on its way arrives
	arrived := 0
	for _, tap := range taps {
		arrived += tap()
	}
	if arrived < len(kinds) {
		t.Errorf("control: %d frames came to the machine's end of the link, want %d:\n%s", arrived, len(kinds), out)
	}
	for kind, name := range kinds {
		t.Run(name, func(t *testing.T) {
			if controls[kind]() == 0 {
				t.Error("control: a device without a gate does not take it in")
			}
			for _, count := range counts[kind] {
				if n := count(); n > 0 {
					t.Errorf("the machine took in %d", n)
				}
			}
		})
	}
}

// identitiesOfRuns asks the endpoint of a run's identities in ways that it must refuse.
func identitiesOfRuns(t *testing.T, p *place) {
	handler := &imds.Handler{Key: secret.New("key-of-the-run"),
		Identities: []lease.Identity{{ClientID: "client-a", PrincipalID: "principal-a", ResourceID: "/resource/a"}},
		Token: func(context.Context, lease.TokenRequest) (lease.AccessToken, error) {
			return lease.AccessToken{Token: secret.New("token-of-a"), ClientID: "client-a", ExpiresAt: time.Now().Add(time.Hour)}, nil
		}}
	r, other := p.open(t, func(spec *engine.RunSpec) { spec.Identity = handler }), p.open(t, nil)
	r.command(t, engine.Command{Args: []string{"true"}})
	other.command(t, engine.Command{Args: []string{"true"}})
	const at, path, service, resource = "tcp:169.254.169.254:80", "/metadata/identity/oauth2/token", "/msi/token", "?resource=https://management.azure.com/"
	good := map[string]string{"Metadata": "true"}
	with := func(name, value string) map[string]string { return map[string]string{"Metadata": "true", name: value} }
	get := func(name, path string, header map[string]string, want int, says string) request {
		not := "token-of-a"
		if want == 200 {
			not = ""
		}
		return request{Name: name, Method: "GET", Path: path, Header: header, Host: "169.254.169.254", want: want, says: says, not: not}
	}
	all := []request{
		get("control: a token", path+resource, good, 200, "token-of-a"),
		get("control: a token by the variables", service+resource, map[string]string{"X-IDENTITY-HEADER": "key-of-the-run"}, 200, "token-of-a"),
		get("without the header", path+resource, nil, 400, "Required metadata header not specified"),
		get("with another value of the header", path+resource, map[string]string{"Metadata": "false"}, 400, "Required metadata header not specified"),
		get("without a resource", path, good, 400, "'resource' is missing"),
		get("without the key", service+resource, good, 401, "missing or wrong"),
		get("with a wrong key", service+resource, map[string]string{"X-IDENTITY-HEADER": "key-of-the-ru"}, 401, "missing or wrong"),
		get("with an empty key", service+resource, map[string]string{"secret": ""}, 401, "missing or wrong"),
		get("another identity by client", path+resource+"&client_id=client-b", good, 400, "Identity not found"),
		get("another identity by principal", path+resource+"&object_id=principal-b", good, 400, "Identity not found"),
		get("another identity by resource", path+resource+"&msi_res_id=/resource/b", good, 400, "Identity not found"),
		get("an identity that is a path", path+resource+"&client_id=../client-a", good, 400, "Identity not found"),
		get("another document", "/metadata/instance", good, 404, "no such document"),
		get("another document by a detour", path+"/../../../instance"+resource, good, 404, "no such document"),
		get("user data of the machine", "/latest/meta-data/", good, 404, "no such document"),
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-Ip", "X-Original-Url"} {
		all = append(all, get("through a proxy that says "+name, path+resource, with(name, "192.0.2.1"), 400, "forwarded"))
	}
	for _, host := range []string{"attacker.example", "localhost", "169.254.169.254.nip.io", "127.0.0.1", "169.254.169.254:8080"} {
		one := get("by the name "+host, path+resource, good, 400, "meant for another host")
		one.Host = host
		all = append(all, one)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		one := get("by the method "+method, path+resource, good, 405, "Only GET is supported")
		one.Method = method
		all = append(all, one)
	}
	unreachable := []request{get("another run's steps", path+resource, good, unanswered, "")}
	if p.kind == onEngine { // no step has identities there, which its documentation says
		unreachable[0].Name = "a step"
		r.askNobody(t, at, engine.Command{}, unreachable)
		return
	}
	r.ask(t, at, engine.Command{}, all)
	other.askNobody(t, at, engine.Command{}, unreachable)
	unreachable[0].Name = "a step without a network"
	r.askNobody(t, at, engine.Command{Network: "none"}, unreachable)
}

// askNobody is ask where nobody may answer.
func (r *run) askNobody(t *testing.T, to string, c engine.Command, all []request) {
	t.Helper()
	for i := range all {
		all[i].want, all[i].says = unanswered, ""
	}
	r.ask(t, to, c, all)
}

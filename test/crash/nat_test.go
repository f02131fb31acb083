package crash_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acrux/acrux/internal/engine/runnet"
	"github.com/acrux/acrux/internal/engine/userns"
)

// TestNAT runs TestNATChild in a network namespace of its own: there a server may set
// rules and switch forwarding on without touching the machine, and nothing leaves it.
func TestNAT(t *testing.T) {
	if testing.Short() {
		t.Skip("whole servers")
	}
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNATChild$", "-test.v")
	child.Env = append(os.Environ(), "ACRUX_TEST_NAT=yes")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNATChild") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestNATChild(t *testing.T) {
	if os.Getenv("ACRUX_TEST_NAT") == "" {
		t.Skip("runs as a part of TestNAT")
	}
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	outside(t)
	machine, err := net.Listen("tcp", "198.51.100.1:8080")
	must(t, err)
	go greet(machine)

	w := newWorldOn(t, "nat", "")
	ask := func(address string) string {
		return "nc -w 2 " + address + " 8080 < /dev/null || echo no answer from " + address
	}
	// Both ways out bear the machine's address; neither leads to the machine itself.
	run := w.begin("- cmd: $Registry/base:1 sh -c '" + ask("198.51.100.2") + "; " + ask("198.51.100.1") + "'\n" +
		"- cmd: $Registry/base:1 sh -c 'printf \"FROM $Registry/base:1\\nRUN (" + ask("198.51.100.2") + "); (" + ask("198.51.100.1") + ")\\n\" > /workspace/Dockerfile'\n" +
		"- build: -t x .\n")
	w.eventually("success of run "+run, func() bool { return w.status(run) == "Succeeded" })
	log := w.az("acr", "task", "logs", "--registry", "myregistry", "--run-id", run)
	if n := strings.Count(log, "\nhello 198.51.100.1\n"); n != 2 {
		t.Errorf("%d of 2 ways led outside:\n%s", n, log)
	}
	if n := strings.Count(log, "\nno answer from 198.51.100.1\n"); n != 2 {
		t.Errorf("%d of 2 ways to the machine itself are closed:\n%s", n, log)
	}

	// A killed server leaves devices and rules; the next one takes them over, and a
	// server that is stopped removes them.
	run = w.longRun("7501")
	if devices, tables := uplinks(t); len(devices) != 1 || len(tables) != 3 {
		t.Errorf("devices %q, tables %q; they are those of one run, of its devices, and of forwarding", devices, tables)
	}
	w.restart()
	w.eventually("the end of run "+run, func() bool { return w.status(run) == "Error" })
	w.eventually("the end of the run's devices", func() bool {
		devices, tables := uplinks(t)
		return len(devices) == 0 && len(tables) == 2 // none of devices
	})
	w.az("acr", "run", "--registry", "myregistry", "--cmd", "$Registry/base:1 nc -w 2 198.51.100.2 8080", "/dev/null")
	must(t, w.Stop())
	if devices, tables := uplinks(t); len(devices)+len(tables) > 0 {
		t.Errorf("left behind: devices %q, tables %q", devices, tables)
	}
	if left := append(w.leftovers(), w.ofRuns()...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// uplinks are the devices and tables of rules that servers have made here.
func uplinks(t *testing.T) (devices, tables []string) {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	for _, link := range links {
		if name := link.Attrs().Name; strings.HasPrefix(name, "acx") {
			devices = append(devices, name)
		}
	}
	rules, err := nftables.New()
	must(t, err)
	all, err := rules.ListTables()
	must(t, err)
	for _, table := range all {
		tables = append(tables, table.Name)
	}
	return devices, tables
}

// outside is a machine that is not this one, at 198.51.100.2, played by a namespace. It
// knows no way back to addresses of runs.
func outside(t *testing.T) {
	t.Helper()
	m, err := runnet.NewManager(filepath.Join(t.TempDir(), "net"), slog.New(slog.DiscardHandler))
	must(t, err)
	r, err := m.Open("outside", userns.IDs{})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	ns, err := netns.GetFromPath(r.Namespace())
	must(t, err)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lan0"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "lan0", netlink.NsFd(ns)
	must(t, netlink.LinkAdd(veth))
	near, err := netlink.NewHandle()
	must(t, err)
	defer near.Close()
	far, err := netlink.NewHandleAt(ns)
	must(t, err)
	defer far.Close()
	for handle, text := range map[*netlink.Handle]string{near: "198.51.100.1/24", far: "198.51.100.2/24"} {
		addr, err := netlink.ParseAddr(text)
		must(t, err)
		link, err := handle.LinkByName("lan0")
		must(t, err)
		must(t, handle.AddrAdd(link, addr))
		must(t, handle.LinkSetUp(link))
	}
	listener, err := r.Listen(netip.MustParseAddrPort("198.51.100.2:8080"))
	must(t, err)
	go greet(listener)
}

// greet tells callers their address, until the listener is closed.
func greet(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		w := bufio.NewWriter(conn)
		fmt.Fprintf(w, "hello %s\n", conn.RemoteAddr().(*net.TCPAddr).IP)
		_ = w.Flush() // who hung up hears nothing
		_ = conn.Close()
	}
}

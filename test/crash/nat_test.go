package crash_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/acrux/acrux/internal/engine/enginetest"
)

// Steps and RUN reach what the machine reaches, from its address, and not the machine. What
// that takes is taken away with the run, or by the next start after a kill.
func TestNAT(t *testing.T) {
	enginetest.WholeServers(t)
	go greet(enginetest.Outside(t))
	machine, err := net.Listen("tcp", "198.51.100.1:8080")
	must(t, err)
	go greet(machine)

	w := newWorld(t)
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

// clearNetwork removes what a killed server that no other follows left in the network of the
// tests.
func clearNetwork(t *testing.T) {
	t.Helper()
	devices, _ := uplinks(t)
	for _, name := range devices {
		link, err := netlink.LinkByName(name)
		if err == nil {
			_ = netlink.LinkDel(link) // its namespace may end just now, which takes it away
		}
	}
	rules, err := nftables.New()
	must(t, err)
	tables, err := rules.ListTables()
	must(t, err)
	for _, table := range tables {
		rules.DelTable(table)
	}
	must(t, rules.Flush())
	must(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0)) // as it was
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

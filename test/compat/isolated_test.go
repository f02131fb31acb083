package compat_test

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// inside says in the environment that the process is in the namespaces already.
const inside = "ACRUX_TEST_ISOLATED"

// isolated runs tests in a network and a mount namespace of their own.
type isolated struct{ m *testing.M }

// Run starts the test binary anew in the namespaces, and there runs the tests.
func (i isolated) Run() int {
	flag.Parse()
	if testing.Short() || os.Geteuid() != 0 {
		return i.m.Run() // the tests say why they do not run
	}
	if os.Getenv(inside) == "" {
		return again()
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "the namespaces of the tests:", err)
		return 1
	}
	// Scripts wait for runs, and the clients between two looks at one, more than they compute.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := i.m.Run()
	if strange := names.strangers(); strange != nil {
		fmt.Fprintf(os.Stderr, "a client asked for names that are not ours: %q\n", strange)
		return 1
	}
	return status
}

func again() int {
	runtime.LockOSThread() // Pdeathsig is about the thread
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// furnish makes the namespaces fit for clients: loopback, names, and a repaired copy of
// the Azure CLI's package in the place of the package.
func furnish() error {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	dir, err := os.MkdirTemp("", "acrux-compat-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what is mounted stays
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return err
	}
	if err := cover(dir, "/etc/hosts", string(hosts)); err != nil {
		return err
	}
	if err := cover(dir, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions attempts:1\n"); err != nil {
		return err
	}
	if err := repairAz(dir); err != nil {
		return err
	}
	return names.listen()
}

// cover mounts a file with the text over file, for this namespace alone.
func cover(dir, file, text string) error {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	copied := filepath.Join(dir, strings.ReplaceAll(target, "/", "_"))
	if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(copied, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting over %s: %w", target, err)
	}
	return nil
}

// domain is what the name server answers for.
const domain = "acrux.localhost."

// names is the name server of the namespace. It remembers who else was asked for.
var names nameServer

type nameServer struct {
	mu      sync.Mutex
	strange []string
}

func (n *nameServer) strangers() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.strange
}

func (n *nameServer) listen() error {
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // the process ends
			}
			if reply, err := n.reply(buf[:size]); err == nil {
				_, _ = conn.WriteTo(reply, from) // the client asks again or gives up
			}
		}
	}()
	return nil
}

func (n *nameServer) reply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil, errors.Join(err, errors.New("not one question"))
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
	name := strings.ToLower(q.Name.String())
	switch {
	case !strings.HasSuffix(name, "."+domain):
		m.RCode = dnsmessage.RCodeNameError
		n.mu.Lock()
		n.strange = append(n.strange, name)
		n.mu.Unlock()
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
	}
	return m.Pack()
}

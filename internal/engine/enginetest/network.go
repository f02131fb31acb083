//go:build linux

package enginetest

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acrux/acrux/internal/sandbox/runnet"
	"github.com/acrux/acrux/internal/sandbox/userns"
)

// alone is the variable of a test program that Alone started.
const alone = "ACRUX_TEST_ALONE"

// Alone runs a test of this program in a network namespace of its own: there it may set rules
// and switch forwarding on without touching the machine, and nothing leaves. The test begins
// with StartAlone. It takes root.
func Alone(t *testing.T, test string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
	child.Env = append(os.Environ(), alone+"=yes")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("%v\n%s", err, out)
	}
}

// StartAlone skips a test that is for Alone, and makes its namespace ready.
func StartAlone(t *testing.T) {
	t.Helper()
	if os.Getenv(alone) == "" {
		t.Skip("runs as a part of another test")
	}
	fatal(t, ready())
}

// MainAlone is for the TestMain of a package all of whose tests are as if with Alone, in other
// namespaces of their own as well where more has their flags of clone(2). It returns the
// program's exit code. It takes root.
func MainAlone(more uintptr, run func() int) int {
	if os.Getenv(alone) != "" {
		if err := ready(); err != nil {
			fmt.Fprintln(os.Stderr, "the namespace of the tests is not ready:", err)
			return 1
		}
		return run()
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Args[0] = os.Args[0]
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.Env = append(os.Environ(), alone+"=yes")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | more, Pdeathsig: syscall.SIGKILL}
	var ended *exec.ExitError
	if err := again.Run(); err != nil && !errors.As(err, &ended) {
		fmt.Fprintln(os.Stderr, "making namespaces:", err)
		return 1
	}
	return again.ProcessState.ExitCode()
}

// ready makes a new namespace one with a loopback device and without forwarding, whatever the
// kernel let it inherit from the machine.
func ready() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Where somebody is who is not the machine, and where the machine is for him.
const (
	OutsideAt = "198.51.100.2:8080"
	MachineAt = "198.51.100.1"
)

// Outside is a machine that is not this one, at OutsideAt, played by a namespace. It knows no
// way back to addresses of runs. The caller, who is alone in his network, answers there until
// the test ends.
func Outside(t *testing.T) net.Listener {
	t.Helper()
	at := netip.MustParseAddrPort(OutsideAt)
	m, err := runnet.NewManager(filepath.Join(t.TempDir(), "net"), slog.New(slog.DiscardHandler))
	fatal(t, err)
	r, err := m.Open("outside", userns.IDs{})
	fatal(t, err)
	t.Cleanup(func() { _ = r.Close() })
	ns, err := netns.GetFromPath(r.Namespace())
	fatal(t, err)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lan0"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "lan0", netlink.NsFd(ns)
	fatal(t, netlink.LinkAdd(veth))
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	near, err := netlink.NewHandle()
	fatal(t, err)
	defer near.Close()
	far, err := netlink.NewHandleAt(ns)
	fatal(t, err)
	defer far.Close()
	for handle, own := range map[*netlink.Handle]string{near: MachineAt, far: at.Addr().String()} {
		addr, err := netlink.ParseAddr(own + "/24")
		fatal(t, err)
		device, err := handle.LinkByName("lan0")
		fatal(t, err)
		fatal(t, handle.AddrAdd(device, addr))
		fatal(t, handle.LinkSetUp(device))
	}
	listener, err := r.Listen(at)
	fatal(t, err)
	return listener
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Package door_test attacks whole servers through their listeners: forged tokens, wrong
// doors, rights that are wider than given or gone, addresses that must not be connected to,
// secrets that must not be seen, clients that are slow or large. Each case stands beside a
// control, which is the same request without what makes it an attack and is answered.
//
// All of it happens in a network namespace of its own, in which there is loopback only.
package door_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/cli"
)

const (
	asProgram = "ACRUX_TEST_AS_PROGRAM"   // makes the test binary an acrux
	isolated  = "ACRUX_TEST_IS_ISOLATED"  // says that it is in the namespaces already
	metadata  = "169.254.169.254"         // where clouds answer machines about themselves
	hostNames = "127.0.0.1 localhost\n" + // what names mean in the namespaces
		"::1 localhost\n" +
		"127.0.0.1 loopback.example\n" +
		"::1 loopback6.example\n" +
		"169.254.169.254 metadata.example\n" +
		"0.0.0.0 unspecified.example\n" +
		"127.0.0.2 allowed.example\n"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	flag.Parse()
	if testing.Short() || os.Geteuid() != 0 {
		os.Exit(m.Run()) // the tests say why they do nothing
	}
	if os.Getenv(isolated) == "" {
		os.Exit(again())
	}
	// Most cases wait for a server, and not for a processor.
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err) // it is a flag of testing
	}
	code := 1
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the namespaces:", err)
	} else {
		code = m.Run()
	}
	if err := endWorlds(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// again runs this program in new namespaces: of the network, so that no packet leaves the
// machine, and of mounts, so that names mean what the attacks need.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), isolated+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		return ended.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "making namespaces:", err)
		return 1
	}
	return 0
}

// prepare gives the namespaces loopback, with the address of metadata on it, so that who
// may connect there would, and host names.
func prepare() error {
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", metadata + "/32", "dev", "lo"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "acrux-hosts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // the mount keeps the file
	for name, text := range map[string]string{"hosts": hostNames,
		"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting /etc/%s: %w", name, err)
		}
	}
	return serveNames()
}

// needsRoot skips short tests, and those of people who are not root.
func needsRoot(t *testing.T) {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("whole servers take longer than a short test may")
	case os.Geteuid() != 0 && os.Getenv("CI") == "true":
		t.Fatal("network namespaces and the embedded engine need root")
	case os.Geteuid() != 0:
		t.Skip("network namespaces and the embedded engine need root")
	}
}

// worlds are the servers that tests share, by what they are called.
var worlds = struct {
	sync.Mutex
	all map[string]*world
}{all: map[string]*world{}}

// endWorlds stops all servers. Each must end well, and not have logged a fault of its own:
// no attack may be answered by one.
func endWorlds() error {
	worlds.Lock()
	defer worlds.Unlock()
	var errs []error
	for name, w := range worlds.all {
		w.client.CloseIdleConnections()
		if err := w.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("the server '%s': %w", name, err))
		}
		errs = append(errs, os.RemoveAll(filepath.Dir(w.Data)))
	}
	return errors.Join(errs...)
}

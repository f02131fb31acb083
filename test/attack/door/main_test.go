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
	"testing"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/cli"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

const (
	asProgram = "ACRUX_TEST_AS_PROGRAM"   // makes the test binary an acrux
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
	os.Exit(enginetest.MainAlone(unix.CLONE_NEWNS, func() int { return isolated(m) }))
}

// isolated runs the tests in new namespaces: of the network, so that no packet leaves the
// machine, and of mounts, so that names mean what the attacks need.
func isolated(m *testing.M) int {
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
	return code
}

// prepare gives loopback the address of metadata, so that who may connect there would, and the
// namespaces host names.
func prepare() error {
	if out, err := exec.Command("ip", "addr", "add", metadata+"/32", "dev", "lo").CombinedOutput(); err != nil {
		return fmt.Errorf("ip addr add: %w: %s", err, out)
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

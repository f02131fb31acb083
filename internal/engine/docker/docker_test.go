//go:build linux

package docker

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

func open(t *testing.T, host, root string) *Executor {
	t.Helper()
	e, err := Open(t.Context(), Options{
		Root: root, Host: host, Egress: true,
		Dialer: &egress.Dialer{Policy: egress.Policy{Loopback: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the executor: %v", err)
		}
	})
	return e
}

func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Docker Engine")
	}
	host := enginetest.StartDockerEngine(t)
	// BuildKit of that age says that the runtime failed, and no more.
	lacks := []enginetest.Lack{enginetest.Identity, enginetest.RunExitCode, enginetest.Ports, enginetest.CacheScopes}
	if !allPowers(t) {
		// This engine wants to give away what the machine itself has not.
		lacks = append(lacks, enginetest.Privilege)
	}
	enginetest.RunSuite(t, func(t *testing.T) engine.Executor { return open(t, host, t.TempDir()) }, enginetest.NewFixtures(t), lacks...)
}

// allPowers reports whether the processes of this machine may have all capabilities that
// the kernel knows.
func allPowers(t *testing.T) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "CapBnd:")
	bound, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil {
		t.Fatal(err)
	}
	return bound == 1<<(n+1)-1
}

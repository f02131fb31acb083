//go:build linux && cgo

package container

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/cgroups"
)

func TestShares(t *testing.T) {
	for used, want := range map[time.Duration]uint64{0: 1024, halfAfter: 512, 3 * halfAfter: 256, time.Hour: leastShares} {
		if got := shares(used); got != want {
			t.Errorf("%d shares after %s, want %d", got, used, want)
		}
	}
}

// Who uses processors has less of them afterwards than who does not.
func TestBalance(t *testing.T) {
	if os.Geteuid() != 0 {
		skipOrFail(t)
	}
	r, err := New(filepath.Join(t.TempDir(), "containers"))
	if err != nil {
		t.Fatal(err)
	}
	var groups []*Group
	for _, name := range []string{"busy", "idle"} {
		g, err := r.OpenGroup(name, Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	busy, idle := groups[0], groups[1]
	spin := exec.Command("sh", "-c", "while :; do :; done")
	if err := spin.Start(); err != nil {
		t.Fatal(err)
	}
	if err := busy.manager.Apply(spin.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err := r.Balance(); err != nil {
			t.Fatal(err)
		}
		if own, other := weight(t, busy), weight(t, idle); own < other*9/10 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d for who is busy, %d for who is not", own, other)
		}
	}
	spin.Process.Kill()
	spin.Wait()
	for _, g := range groups {
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Balance(); err != nil {
		t.Errorf("without groups: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// weight is what the kernel has of a group's share.
func weight(t *testing.T, g *Group) int {
	t.Helper()
	file := filepath.Join(g.manager.Path("cpu"), "cpu.shares")
	if cgroups.IsCgroup2UnifiedMode() {
		file = filepath.Join(g.manager.Path(""), "cpu.weight")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

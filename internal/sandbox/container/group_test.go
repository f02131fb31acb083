//go:build linux && cgo

package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bounds of a group are the kernel's, swap included, and go with it.
func TestGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		skipOrFail(t)
	}
	r, err := New(filepath.Join(t.TempDir(), "containers"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.OpenGroup("run", Bounds{Memory: 64 << 20, Processes: 99, CPUs: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	// By version 1 and by version 2 of control groups.
	found := map[string]string{}
	for _, dir := range r.cgroupDirs() {
		if filepath.Base(dir) != "run" {
			continue
		}
		for _, name := range []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max", "cpu.cfs_quota_us", "memory.max", "memory.swap.max", "cpu.max"} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				found[name] = strings.TrimSpace(string(text))
			}
		}
	}
	for name, want := range map[string]string{
		"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864", "pids.max": "99", "cpu.cfs_quota_us": "50000",
		"memory.max": "67108864", "memory.swap.max": "0", "cpu.max": "50000 100000",
	} {
		if got, ok := found[name]; ok && got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if found["memory.limit_in_bytes"]+found["memory.max"] == "" || found["pids.max"] == "" {
		t.Errorf("nothing is bounded: %v", found)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range r.cgroupDirs() {
		if filepath.Base(dir) == "run" {
			t.Errorf("%s is left", dir)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

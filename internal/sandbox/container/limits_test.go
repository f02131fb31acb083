//go:build linux && cgo

package container

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestLimit(t *testing.T) {
	spec := &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}
	limit(spec)
	if got := *spec.Process.OOMScoreAdj; got != oomScore {
		t.Errorf("OOM score %d", got)
	}
	if controlled("pids") && *spec.Linux.Resources.Pids.Limit != maxProcesses {
		t.Errorf("%d processes", *spec.Linux.Resources.Pids.Limit)
	}
	if all := machineMemory(); controlled("memory") && (*spec.Linux.Resources.Memory.Limit >= all || *spec.Linux.Resources.Memory.Limit < all/2) {
		t.Errorf("%d of %d bytes", *spec.Linux.Resources.Memory.Limit, all)
	}
}

// Who asks for more than there is gets what there is.
func TestLimitBounds(t *testing.T) {
	for _, asked := range []int64{900 << 30, 1 << 62, -1, 0} {
		pids, memory, swap := asked, asked, asked
		spec := &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{Resources: &specs.LinuxResources{
			Pids: &specs.LinuxPids{Limit: &pids}, Memory: &specs.LinuxMemory{Limit: &memory, Swap: &swap, Reservation: &asked}}}}
		limit(spec)
		r, most := spec.Linux.Resources, DefaultBounds().Memory
		if *r.Pids.Limit != maxProcesses || *r.Memory.Limit != most || *r.Memory.Swap != most || *r.Memory.Reservation > most {
			t.Errorf("asked for %d: %d processes, %d bytes, %d with swap", asked, *r.Pids.Limit, *r.Memory.Limit, *r.Memory.Swap)
		}
	}
}

// What somebody asked for stays.
func TestLimitKeeps(t *testing.T) {
	processes, memory, score := int64(7), int64(1<<20), 3
	spec := &specs.Spec{Process: &specs.Process{OOMScoreAdj: &score}, Linux: &specs.Linux{
		Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &processes}, Memory: &specs.LinuxMemory{Limit: &memory}}}}
	limit(spec)
	if r := spec.Linux.Resources; *r.Pids.Limit != 7 || *r.Memory.Limit != 1<<20 || *spec.Process.OOMScoreAdj != 3 {
		t.Errorf("limits changed: %+v", r)
	}
}

func TestControlled(t *testing.T) {
	if controlled("nonsense") {
		t.Error("the kernel controls nonsense")
	}
}

//go:build linux && cgo

package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

const (
	// fullShares is what a new group has of the processors, in the unit of version 1 of
	// control groups, and leastShares what remains of that.
	fullShares, leastShares = 1024, 64
	// halfAfter is after how much use of a processor a group has half of its shares.
	halfAfter = 5 * time.Second
	// killCost is what a process that the kernel kills for want of memory counts as: the
	// memory is found, filled and freed at the cost of all.
	killCost = 5 * time.Second
)

// Balance gives groups their shares of the processors anew: who has used much already
// yields to who has not, so that a short run is short beside one that takes all it can get.
// As long as there are processors for all, nobody notices. It is to be called every second
// or so, by one caller at a time.
func (r *Runtime) Balance() error {
	r.mu.Lock()
	open := make([]*Group, 0, len(r.groups))
	for g := range r.groups {
		open = append(open, g)
	}
	r.mu.Unlock()
	var errs []error
	for _, g := range open {
		if err := g.balance(); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENODEV) { // it is being closed
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// shares is what a group has after having used so much.
func shares(used time.Duration) uint64 {
	return max(leastShares, uint64(fullShares*halfAfter/(halfAfter+used)))
}

// balance gives the group the shares that fit what it has used.
func (g *Group) balance() error {
	if !controlled("cpu") {
		return nil
	}
	used, err := g.used()
	if err != nil {
		return err
	}
	g.countKills()
	next := shares(used + time.Duration(g.kills)*killCost)
	if next == g.shares {
		return nil
	}
	dir, file, value := g.manager.Path("cpu"), "cpu.shares", next
	if cgroups.IsCgroup2UnifiedMode() {
		dir, file, value = g.manager.Path(""), "cpu.weight", cgroups.ConvertCPUSharesToCgroupV2Value(next)
	}
	if err := cgroups.WriteFile(dir, file, strconv.FormatUint(value, 10)); err != nil {
		return fmt.Errorf("sharing the processors: %w", err)
	}
	g.shares = next
	return nil
}

// used is how much of processors the group's containers have used.
func (g *Group) used() (time.Duration, error) {
	if cgroups.IsCgroup2UnifiedMode() {
		return time.Duration(counter(filepath.Join(g.manager.Path(""), "cpu.stat"), "usage_usec")) * time.Microsecond, nil
	}
	text, err := cgroups.ReadFile(g.manager.Path("cpuacct"), "cpuacct.usage")
	if err != nil {
		return 0, fmt.Errorf("looking how much a group has used: %w", err)
	}
	nanoseconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return time.Duration(nanoseconds), err
}

// countKills counts what the kernel killed for want of memory. Version 1 tells it of each
// container alone, and no longer when that has ended.
func (g *Group) countKills() {
	if cgroups.IsCgroup2UnifiedMode() {
		g.kills = counter(filepath.Join(g.manager.Path(""), "memory.events"), "oom_kill")
		return
	}
	now := map[string]int{}
	entries, _ := os.ReadDir(g.manager.Path("memory")) // without the controller nothing is killed
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		n := counter(filepath.Join(g.manager.Path("memory"), entry.Name(), "memory.oom_control"), "oom_kill")
		now[entry.Name()] = n
		g.kills += max(0, n-g.killed[entry.Name()])
	}
	g.killed = now
}

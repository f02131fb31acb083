//go:build linux && cgo

package container

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

// oomKilled asks the container's memory control group whether the kernel killed
// anything in it. Asking at the end misses nothing, unlike a notification that has
// to be subscribed to before the process runs.
func oomKilled(c *libcontainer.Container) bool {
	state, err := c.State()
	if err != nil {
		return false // no control group to ask: nothing was limited
	}
	return counter(filepath.Join(state.CgroupPaths["memory"], "memory.oom_control"), "oom_kill") > 0 ||
		counter(filepath.Join(state.CgroupPaths[""], "memory.events"), "oom_kill") > 0
}

// counter reads "name N" lines. What cannot be read counts nothing.
func counter(path, name string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}

// Cleanup kills every container that a former process left at this root and
// removes what was kept about them. Call it before the first Run.
func (r *Runtime) Cleanup() error {
	if err := r.killAll(); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.state)
	if err != nil {
		return fmt.Errorf("listing left containers: %w", err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(r.state, entry.Name())); err != nil {
			return fmt.Errorf("removing the state of a left container: %w", err)
		}
	}
	return r.removeCgroups()
}

// Close removes the control group of the runtime. Containers must have ended.
func (r *Runtime) Close() error { return r.removeCgroups() }

// cgroupDirs lists our control group in every hierarchy, innermost directories
// first. The mount points are the usual ones: libcontainer knows no others either.
func (r *Runtime) cgroupDirs() []string {
	var dirs []string
	for _, pattern := range []string{"/sys/fs/cgroup/" + r.cgroup, "/sys/fs/cgroup/*/" + r.cgroup} {
		tops, _ := filepath.Glob(pattern)
		for _, top := range tops {
			filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append([]string{path}, dirs...)
				}
				return nil
			})
		}
	}
	return dirs
}

// killAll kills what still runs in our control groups. Going by them and not by
// libcontainer's states also finds a container whose state was never written.
func (r *Runtime) killAll() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		running := 0
		for _, dir := range r.cgroupDirs() {
			data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil {
					running++
					unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		if running == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of left containers do not end", running)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// removeCgroups removes the empty control groups. The kernel may need a moment
// after the last process.
func (r *Runtime) removeCgroups() error {
	var last error
	for range 200 {
		last = nil
		for _, dir := range r.cgroupDirs() {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				last = err
			}
		}
		if last == nil {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("removing control groups: %w", last)
}

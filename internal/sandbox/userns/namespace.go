//go:build linux

package userns

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	mobyuserns "github.com/moby/sys/userns"
	"golang.org/x/sys/unix"
)

// Start makes a user namespace with IDs 0 to Size-1, and with it the namespaces that flags
// name (CLONE_NEWNET), which are owned by it. It calls use with the number of a process in
// them, who keeps what it wants of /proc/PID/ns, and which has ended when Start returns.
//
// A process with several threads cannot enter a user namespace, so another is needed. It
// is stopped before it executes anything.
func Start(ids IDs, flags uintptr, use func(pid int) error) error {
	// The thread that starts a traced process is its tracer, and must outlive it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mapping := []syscall.SysProcIDMap{{HostID: ids.First, Size: Size}}
	process, err := os.StartProcess("/proc/self/exe", []string{"namespace"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | flags, UidMappings: mapping, GidMappings: mapping,
		GidMappingsEnableSetgroups: true,
		Ptrace:                     true, Pdeathsig: syscall.SIGKILL,
	}})
	if err != nil {
		return fmt.Errorf("making a user namespace: %w", err)
	}
	defer func() {
		_ = process.Kill() // it cannot have ended
		_, _ = process.Wait()
	}()
	return use(process.Pid)
}

// Open makes a user namespace and returns it as a file, which keeps it.
func Open(ids IDs) (namespace *os.File, err error) {
	err = Start(ids, 0, func(pid int) error {
		namespace, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
		return err
	})
	return namespace, err
}

// Inside reports whether this process is in a user namespace already, and so has no IDs to
// give to others.
func Inside() bool { return mobyuserns.RunningInUserNS() }

//go:build linux

package userns

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// as does something as the view's root, who keeps all rights over the machine: what the
// kernel makes on its behalf belongs to that root. It has a thread of its own, which ends
// with it, and may do with it what it likes.
func (i IDs) as(do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the runtime ends the thread with its goroutine
		if unix.Gettid() == unix.Getpid() {
			// The first thread is not ended. While it is held here, another is taken.
			result <- i.as(do)
			runtime.UnlockOSThread()
			return
		}
		err := i.become()
		if err == nil {
			err = do()
		}
		result <- err
	}()
	return <-result
}

// become changes the IDs with which this thread makes files, and takes the rights back that
// go with that.
func (i IDs) become() error {
	for _, call := range []uintptr{unix.SYS_SETFSGID, unix.SYS_SETFSUID} {
		// The call tells what the ID was before, and nothing of success: so it is asked
		// again, for an ID that cannot be.
		_, _, _ = unix.RawSyscall(call, uintptr(i.First), 0, 0)
		if now, _, _ := unix.RawSyscall(call, ^uintptr(0), 0, 0); int(int32(now)) != i.First {
			return fmt.Errorf("becoming user %d: the kernel does not let us", i.First)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var rights [2]unix.CapUserData
	if err := unix.Capget(&header, &rights[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	for n := range rights {
		rights[n].Effective = rights[n].Permitted
	}
	if err := unix.Capset(&header, &rights[0]); err != nil {
		return fmt.Errorf("taking capabilities back: %w", err)
	}
	return nil
}

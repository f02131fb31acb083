//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// own is the calling thread's network namespace.
const own = "/proc/thread-self/ns/net"

// detour runs enter and then do on a thread of its own, and takes the thread back
// to where it was. A thread that cannot go back is given up: the runtime ends it
// with its goroutine, which stays locked to it. That is so for root of a user namespace,
// who may not enter the machine's own network.
func detour(enter, do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The runtime does not end the first thread, and others look at its namespaces
			// for the process's. While it is held here, the detour gets another.
			result <- detour(enter, do)
			runtime.UnlockOSThread()
			return
		}
		home, err := os.Open(own)
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("remembering the network namespace: %w", err)
			return
		}
		defer home.Close()
		err = enter()
		if err == nil {
			err = do()
		}
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if errors.Is(back, unix.EPERM) {
			result <- err
			return
		}
		if back != nil {
			result <- errors.Join(err, fmt.Errorf("leaving a network namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
		result <- err
	}()
	return <-result
}

// makeNamespace makes an empty network namespace that lives as long as file is
// mounted.
func makeNamespace(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("making the file of a network namespace: %w", err)
	}
	f.Close()
	unshare := func() error { return unix.Unshare(unix.CLONE_NEWNET) }
	keep := func() error { return unix.Mount(own, file, "", unix.MS_BIND, "") }
	if err := detour(unshare, keep); err != nil {
		return errors.Join(fmt.Errorf("making a network namespace: %w", err), os.Remove(file))
	}
	return nil
}

// removeNamespace takes the file away; the namespace goes with its last user.
func removeNamespace(file string) error {
	err := unix.Unmount(file, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmounting a network namespace: %w", err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the file of a network namespace: %w", err)
	}
	return nil
}

// inside runs do in the namespace behind file. do must open its sockets itself: what
// it starts in other goroutines is elsewhere.
func inside(file string, do func() error) error {
	ns, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("opening a network namespace: %w", err)
	}
	defer ns.Close()
	enter := func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return nil
	}
	return detour(enter, do)
}

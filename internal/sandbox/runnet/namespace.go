//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/sandbox/userns"
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

// userFile is where the user namespace is kept that owns the network namespace behind file.
func userFile(file string) string { return strings.TrimSuffix(file, ".ns") + ".user" }

// makeNamespace makes an empty network namespace that lives as long as file is mounted.
// With IDs it belongs to a user namespace of its own, kept by userFile: only who is in that
// one has power over its devices, ports and packets.
//
// Devices that come into it have no IPv6 unless they are given it, and it forwards nothing
// unless it is told to: by itself it would if the machine does, without rules.
func makeNamespace(file string, ids userns.IDs) error {
	if err := bareNamespace(file, ids); err != nil {
		return errors.Join(fmt.Errorf("making a network namespace: %w", err), removeNamespace(file))
	}
	if err := inside(file, func() error { return errors.Join(setDefaults(), setForwarding("0")) }); err != nil {
		return errors.Join(err, removeNamespace(file))
	}
	return nil
}

// setDefaults sets, in the namespace of the calling thread, what docker sets for its
// containers: every user may ping, and listen on low ports. And no device to come has IPv6.
func setDefaults() error {
	groups := "0 2147483647"
	if userns.Inside() {
		groups = "0 65535" // it knows no others
	}
	for name, value := range map[string]string{"ping_group_range": groups, "ip_unprivileged_port_start": "0"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("preparing a network namespace: %w", err)
		}
	}
	return refuseIPv6("default")
}

func bareNamespace(file string, ids userns.IDs) error {
	if ids.None() {
		unshare := func() error { return unix.Unshare(unix.CLONE_NEWNET) }
		return detour(unshare, func() error { return keepNamespace(own, file) })
	}
	return userns.Start(ids, unix.CLONE_NEWNET, func(pid int) error {
		namespaces := fmt.Sprintf("/proc/%d/ns/", pid)
		if err := keepNamespace(namespaces+"user", userFile(file)); err != nil {
			return err
		}
		return keepNamespace(namespaces+"net", file)
	})
}

// keepNamespace keeps a namespace behind a file.
func keepNamespace(namespace, file string) error {
	if err := placeholder(file); err != nil {
		return err
	}
	if err := unix.Mount(namespace, file, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("keeping a container's namespace: %w", err), os.Remove(file))
	}
	return nil
}

// placeholder makes the file that a namespace is mounted on.
func placeholder(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("making the file of a namespace: %w", err)
	}
	return f.Close()
}

// removeNamespace takes the files away; the namespaces go with their last users.
func removeNamespace(file string) error {
	return errors.Join(removeMounted(file), removeMounted(userFile(file)))
}

func removeMounted(file string) error {
	err := unix.Unmount(file, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmounting a namespace: %w", err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the file of a namespace: %w", err)
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

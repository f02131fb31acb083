//go:build linux && amd64

package main

import (
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mounts are attempts to change what is mounted, and to leave one's root.
func mounts() []attempt {
	var all []attempt
	for _, kind := range []string{"proc", "sysfs", "tmpfs", "devtmpfs", "cgroup2", "mqueue", "devpts"} {
		all = append(all, attempt{"mount " + kind, func() (string, error) { return mount("none", kind, 0) }})
	}
	return append(all,
		attempt{"mount by bind", func() (string, error) { return mount("/etc", "", unix.MS_BIND) }},
		attempt{"make mounts shared", func() (string, error) { return "/", unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, "") }},
		attempt{"remount /proc/sys", func() (string, error) { return remount("/proc/sys") }},
		attempt{"remount /sys", func() (string, error) { return remount("/sys") }},
		attempt{"unmount /proc", func() (string, error) { return "/proc", unix.Unmount("/proc", unix.MNT_EXPIRE|unix.MNT_FORCE) }},
		attempt{"fsopen", func() (string, error) { return closed(unix.Fsopen("tmpfs", 0)) }},
		attempt{"open_tree", func() (string, error) {
			return closed(unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE))
		}},
		attempt{"move_mount", func() (string, error) {
			return "moved", unix.MoveMount(unix.AT_FDCWD, "/proc/self", unix.AT_FDCWD, "/proc/self", 0)
		}},
		attempt{"mount_setattr", func() (string, error) {
			attr := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_NODEV}
			return "/proc", unix.MountSetattr(unix.AT_FDCWD, "/proc", 0, &attr)
		}},
		attempt{"pivot_root", func() (string, error) { return "pivoted", unix.PivotRoot("/proc/self", "/proc/self") }},
		attempt{"open_by_handle_at", openByHandle},
		attempt{"leave a chroot", leaveChroot},
		attempt{"the machine's root by the first process's root", func() (string, error) { return contents("/proc/" + os.Getenv("FIRST") + "/root" + os.Getenv("CANARY")) }},
		attempt{"the machine's root by the first process's cwd", func() (string, error) {
			return contents("/proc/" + os.Getenv("FIRST") + "/cwd/../../../../../../.." + os.Getenv("CANARY"))
		}},
		attempt{"files that others have open", openFiles},
	)
}

func closed(fd int, err error) (string, error) {
	if err == nil {
		unix.Close(fd)
	}
	return "a descriptor", err
}

func mount(source, kind string, flags uintptr) (string, error) {
	at, err := os.MkdirTemp("", "probe")
	if err != nil {
		return "", err
	}
	defer os.Remove(at)
	if err := unix.Mount(source, at, kind, flags, ""); err != nil {
		return "", err
	}
	return at, unix.Unmount(at, unix.MNT_DETACH)
}

func remount(path string) (string, error) {
	if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
		return "", err
	}
	defer unix.Unmount(path, unix.MNT_DETACH)
	return path, unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "")
}

// openByHandle opens the root of a file system by its number, as "shocker" did.
func openByHandle() (string, error) {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/etc", 0)
	if err != nil { // by hand: inode 2, generation 0
		handle = unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0})
	}
	at, err := unix.Open("/etc", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(at)
	return closed(unix.OpenByHandleAt(at, handle, unix.O_RDONLY))
}

// leaveChroot climbs out of a root within which the working directory is not.
func leaveChroot() (string, error) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return "", err
	}
	before, err := os.Open("/")
	if err != nil {
		return "", err
	}
	defer before.Close()
	if err := unix.Chroot(dir); err != nil {
		return "", err
	}
	for range 32 {
		_ = unix.Chdir("..") // as far as it goes
	}
	failed := unix.Chroot(".")
	got, err := contents(os.Getenv("CANARY"))
	if failed == nil {
		failed = err
	}
	_ = before.Chdir()
	_ = unix.Chroot(".")
	_ = os.Remove(dir)
	return got, failed
}

// openFiles looks for a file of the machine among those that processes have open.
func openFiles() (string, error) {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == os.Getenv("CANARY") {
			return contents(link)
		}
	}
	return "", errNothing
}

func pointer[T any](to *T) uintptr { return uintptr(unsafe.Pointer(to)) }

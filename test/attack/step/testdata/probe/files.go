//go:build linux && amd64

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// files are attempts at files by which a machine is steered, or told of.
func files() []attempt {
	var all []attempt
	for _, path := range []string{
		"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname",
		"/proc/sys/kernel/panic", "/proc/sys/kernel/sysrq", "/proc/sys/vm/drop_caches", "/proc/sys/vm/overcommit_memory",
		"/proc/sys/fs/file-max", "/proc/sys/net/ipv4/ip_forward",
		"/proc/irq/default_smp_affinity", "/proc/bus/pci/devices", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state",
		"/sys/module/kernel/parameters/panic",
	} {
		all = append(all, attempt{"write " + path, func() (string, error) { return openFor(path, unix.O_WRONLY) }})
	}
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/dev/kmsg", "/dev/mem"} {
		all = append(all, attempt{"read " + path, func() (string, error) { return contents(path) }})
	}
	return append(all,
		attempt{"device of the disk", func() (string, error) { return device(unix.S_IFBLK, disk()) }},
		attempt{"device of memory", func() (string, error) { return device(unix.S_IFCHR, unix.Mkdev(1, 1)) }},
		attempt{"device of the kernel's log", func() (string, error) { return device(unix.S_IFCHR, unix.Mkdev(1, 11)) }},
		attempt{"device of loops", func() (string, error) { return device(unix.S_IFCHR, unix.Mkdev(10, 237)) }},
		attempt{"device of the disk in the image", func() (string, error) { return openFor("/disk", unix.O_RDONLY) }},
		attempt{"devices in /dev", strangeDevices},
		attempt{"write to control groups", func() (string, error) { return group(writable) }},
		attempt{"make a control group", func() (string, error) { return group(makeGroup) }},
	)
}

// openFor opens a path, and no more. A directory is tried by making something in it.
func openFor(path string, flags int) (string, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "made")
		return path, os.Mkdir(path, 0o755)
	}
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		unix.Close(fd)
	}
	return path, err
}

// contents reads the beginning of a file, or the names in a directory.
func contents(path string) (string, error) {
	if entries, err := os.ReadDir(path); err == nil {
		if len(entries) == 0 {
			return "", errNothing
		}
		return entries[0].Name(), nil
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, make([]byte, 16))
	if err == nil && n <= 0 {
		err = errNothing
	}
	return "it has content", err
}

// device makes a device node and opens it.
func device(kind uint32, number uint64) (string, error) {
	path := filepath.Join(os.TempDir(), "probe-node")
	if err := unix.Mknod(path, kind|0o600, int(number)); err != nil {
		return "", err
	}
	defer os.Remove(path)
	return openFor(path, unix.O_RDONLY)
}

// disk is the first block device that the kernel tells of.
func disk() uint64 {
	names, _ := filepath.Glob("/sys/dev/block/*")
	if len(names) == 0 {
		return unix.Mkdev(7, 0)
	}
	major, minor, _ := strings.Cut(filepath.Base(names[0]), ":")
	return unix.Mkdev(number(major), number(minor))
}

func number(text string) (n uint32) {
	for _, digit := range text {
		n = 10*n + uint32(digit-'0')
	}
	return n
}

// strangeDevices looks for devices that docker does not give.
func strangeDevices() (string, error) {
	usual := " console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero init "
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if !strings.Contains(usual, " "+entry.Name()+" ") {
			return entry.Name(), nil
		}
	}
	return "", errNothing
}

// group tries something with each directory of control groups.
func group(try func(dir string) error) (got string, err error) {
	err = errNothing
	filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, _ error) error {
		var at unix.Statfs_t
		if entry == nil || !entry.IsDir() || unix.Statfs(path, &at) != nil {
			return nil
		}
		if at.Type != unix.CGROUP_SUPER_MAGIC && at.Type != unix.CGROUP2_SUPER_MAGIC {
			return nil // a directory in which others are mounted
		}
		if failed := try(path); failed == nil || !refused(failed) {
			got, err = path, failed
			return fs.SkipAll
		}
		return nil
	})
	return got, err
}

func writable(dir string) error {
	for _, name := range []string{"release_agent", "cgroup.procs", "tasks", "devices.allow", "memory.max", "memory.limit_in_bytes", "pids.max", "cgroup.subtree_control"} {
		if _, err := openFor(filepath.Join(dir, name), unix.O_WRONLY); err == nil {
			return nil
		}
	}
	return errNothing
}

func makeGroup(dir string) error {
	path := filepath.Join(dir, "acrux-probe")
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Remove(path)
}

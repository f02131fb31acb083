//go:build linux && amd64

package main

import (
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// calls are system calls that act on the whole machine.
func calls() []attempt {
	empty := new([256]byte)
	var all []attempt
	for name, flags := range map[string]int{"mounts": unix.CLONE_NEWNS, "host names": unix.CLONE_NEWUTS, "messages": unix.CLONE_NEWIPC, "networks": unix.CLONE_NEWNET, "processes": unix.CLONE_NEWPID} {
		all = append(all, attempt{"a namespace of " + name, func() (string, error) { return clone(flags) }})
	}
	for _, a := range []struct {
		name   string
		number uintptr
		args   [6]uintptr
	}{
		{"init_module", unix.SYS_INIT_MODULE, [6]uintptr{pointer(empty), 16, pointer(empty)}},
		{"finit_module", unix.SYS_FINIT_MODULE, [6]uintptr{^uintptr(0), pointer(empty)}},
		{"delete_module", unix.SYS_DELETE_MODULE, [6]uintptr{pointer(&[]byte("/\x00")[0]), unix.O_NONBLOCK}},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [6]uintptr{0, 1 << 20, pointer(empty)}},
		{"reboot", unix.SYS_REBOOT, [6]uintptr{1, 2, 3}},
		{"acct", unix.SYS_ACCT, [6]uintptr{pointer(&[]byte("/proc/version\x00")[0])}},
		{"swapon", unix.SYS_SWAPON, [6]uintptr{pointer(&[]byte("/proc/version\x00")[0])}},
		{"swapoff", unix.SYS_SWAPOFF, [6]uintptr{pointer(&[]byte("/proc/version\x00")[0])}},
		{"syslog", unix.SYS_SYSLOG, [6]uintptr{3, pointer(empty), 16}},
		{"bpf", unix.SYS_BPF, [6]uintptr{1 << 20, pointer(empty), 16}},
		{"keyctl", unix.SYS_KEYCTL, [6]uintptr{0, ^uintptr(2), 0}},
		{"add_key", unix.SYS_ADD_KEY, [6]uintptr{pointer(&[]byte("user\x00")[0]), pointer(&[]byte("x\x00")[0]), pointer(empty), 1, ^uintptr(1)}},
		{"userfaultfd", unix.SYS_USERFAULTFD, [6]uintptr{unix.O_CLOEXEC | unix.O_NONBLOCK}},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uintptr{1, pointer(empty)}},
		{"fanotify_init", unix.SYS_FANOTIFY_INIT, [6]uintptr{4}},
		{"quotactl", unix.SYS_QUOTACTL, [6]uintptr{0x80000100}},
		{"iopl", unix.SYS_IOPL, [6]uintptr{3}},
		{"ioperm", unix.SYS_IOPERM, [6]uintptr{0x80, 1, 1}},
	} {
		all = append(all, attempt{a.name, func() (string, error) {
			_, _, e := unix.Syscall6(a.number, a.args[0], a.args[1], a.args[2], a.args[3], a.args[4], a.args[5])
			return "it was carried out", errno(e)
		}})
	}
	return append(all, more()...)
}

// more are calls whose arguments take some making.
func more() []attempt {
	return []attempt{
		{"a namespace of users", func() (string, error) { return clone(unix.CLONE_NEWUSER) }},
		{"setns", func() (string, error) {
			fd, err := unix.Open("/proc/thread-self/ns/uts", unix.O_RDONLY, 0)
			if err != nil {
				return "", err
			}
			defer unix.Close(fd)
			return "the same one", unix.Setns(fd, unix.CLONE_NEWUTS)
		}},
		{"set the host's name", func() (string, error) {
			var u unix.Utsname
			if err := unix.Uname(&u); err != nil {
				return "", err
			}
			return "", unix.Sethostname([]byte(unix.ByteSliceToString(u.Nodename[:])))
		}},
		{"set the domain's name", func() (string, error) {
			var u unix.Utsname
			if err := unix.Uname(&u); err != nil {
				return "", err
			}
			return "", unix.Setdomainname([]byte(unix.ByteSliceToString(u.Domainname[:])))
		}},
		{"set the clock", func() (string, error) {
			_, err := unix.ClockAdjtime(unix.CLOCK_REALTIME, &unix.Timex{Modes: 0x0100}) // by nothing
			return "by nothing", err
		}},
		{"set a clock that is none", func() (string, error) {
			return "", unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: -1})
		}},
		{"perf_event_open", func() (string, error) {
			attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
			return closed(unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC))
		}},
		{"come before all others", func() (string, error) { return "", unix.Setpriority(unix.PRIO_PROCESS, 0, -20) }},
		{"real time", func() (string, error) {
			attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
			return "", unix.SchedSetAttr(0, &attr, 0)
		}},
		{"attributes that are trusted", func() (string, error) {
			path, err := openFor("/tmp", unix.O_WRONLY)
			if err != nil {
				return "", err
			}
			return path, unix.Setxattr(path, "trusted.probe", []byte("x"), 0)
		}},
		{"set flags of a device", func() (string, error) {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				return "", err
			}
			defer unix.Close(fd)
			req, err := unix.NewIfreq("lo")
			if err != nil {
				return "", err
			}
			req.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK | unix.IFF_RUNNING) // as they are
			_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, pointer(req))
			return "", errno(e)
		}},
	}
}

// clone starts this program again, in a namespace of its own.
func clone(flags int) (string, error) {
	cmd := exec.Command("/proc/self/exe", "exit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(flags)}
	return "a process in it", cmd.Run()
}

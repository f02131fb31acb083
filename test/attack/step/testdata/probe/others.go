//go:build linux && amd64

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// others are attempts at processes, sockets and memory that are not the container's. The
// environment says which: PID is a process of the machine, WORD stands in its environment,
// SOCKET is an abstract name it listens at, SHM the key of a segment it has made.
func others() []attempt {
	pid, _ := strconv.Atoi(os.Getenv("PID"))
	at := "/proc/" + os.Getenv("PID")
	return []attempt{
		{"kill a process of the machine", func() (string, error) { return "", unix.Kill(pid, 0) }},
		{"pidfd_open of a process of the machine", func() (string, error) { return closed(unix.PidfdOpen(pid, 0)) }},
		{"read memory of a process of the machine", func() (string, error) {
			local := make([]byte, 1)
			iov := []unix.Iovec{{Base: &local[0], Len: 1}}
			_, err := unix.ProcessVMReadv(pid, iov, []unix.RemoteIovec{{Base: 1, Len: 1}}, 0)
			return "", err
		}},
		{"limits of a process of the machine", func() (string, error) { return "", unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, new(unix.Rlimit)) }},
		{"root of a process of the machine", func() (string, error) { return contents(at + "/root" + os.Getenv("CANARY")) }},
		{"memory of a process of the machine", func() (string, error) { return openFor(at+"/mem", unix.O_RDWR) }},
		{"environments of processes", func() (string, error) { return said("environ") }},
		{"a file of the machine", func() (string, error) { return contents(os.Getenv("CANARY")) }},
		{"an abstract socket of the machine", abstract},
		{"a segment of memory of the machine", func() (string, error) {
			key, _ := strconv.Atoi(os.Getenv("SHM"))
			_, err := unix.SysvShmGet(key, 0, 0)
			return "", err
		}},
		{"capabilities beyond docker's", capabilities},
		{"system calls without a filter", func() (string, error) { return status("Seccomp:", "2") }},
		{"the machine's IPC", func() (string, error) { return sameNamespace("ipc") }},
		{"the machine's network", func() (string, error) { return sameNamespace("net") }},
		{"the machine's processes", func() (string, error) { return sameNamespace("pid") }},
		{"the machine's names", func() (string, error) { return sameNamespace("uts") }},
		{"the machine's mounts", func() (string, error) { return sameNamespace("mnt") }},
		{"root of the machine's users", rootOutside},
	}
}

// said looks for the word in a file of each process. This one has it, and is left out.
func said(file string) (string, error) {
	paths, _ := filepath.Glob("/proc/[0-9]*/" + file)
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		if bytes.Contains(text, []byte("MACHINE_WORD="+os.Getenv("WORD"))) {
			return path, nil
		}
	}
	return "", errNothing
}

func abstract() (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return "connected", unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + os.Getenv("SOCKET")})
}

func status(key, want string) (string, error) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(text), "\n"+key)
	value, _, _ := strings.Cut(rest, "\n")
	if value = strings.TrimSpace(value); value == want {
		return "", errNothing
	}
	return value, nil
}

// capabilities are docker's, in the set that bounds all others; those of a RUN lack
// CAP_NET_RAW, which the environment says.
func capabilities() (string, error) { return status("CapBnd:", os.Getenv("CAPS")) }

// sameNamespace compares a namespace with that of the machine, which the environment has.
func sameNamespace(kind string) (string, error) {
	own, err := os.Readlink("/proc/self/ns/" + kind)
	if err == nil && own != os.Getenv("NS_"+kind) {
		err = errNothing
	}
	return own, err
}

// rootOutside says who root is on the machine: the first line of the map.
func rootOutside() (string, error) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(text))
	if len(fields) > 1 && fields[0] == "0" && fields[1] != "0" {
		return "", errNothing
	}
	return strings.Join(fields, " "), nil
}

//go:build linux && amd64

// Command probe tries, from where it is started, what a container must not be able to do,
// and says of each attempt whether it was held:
//
//	NAME held: operation not permitted
//	NAME through: what it got
//
// Attempts are harmless where they succeed: files are opened and not written to, and system
// calls have arguments that a kernel refuses once it has looked at the caller's rights.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// attempt is one thing to try. It returns what it got, or why it got nothing.
type attempt struct {
	name string
	try  func() (string, error)
}

func main() {
	runtime.LockOSThread()
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "walls":
		for _, list := range [][]attempt{files(), mounts(), calls(), others()} {
			for _, a := range list {
				report(a)
			}
		}
	case "http":
		ask(os.Args[2], os.Args[3])
	case "connect":
		var all sync.WaitGroup
		for _, target := range os.Args[2:] {
			all.Go(func() { report(connect(target)) })
		}
		all.Wait()
	case "frames":
		frames(os.Args[2])
	case "exit":
	default:
		os.Exit(2)
	}
}

// report prints how an attempt ended. What a kernel says after it has let somebody in is no
// refusal.
func report(a attempt) {
	got, err := a.try()
	switch {
	case err == nil:
		fmt.Printf("%s through: %s\n", a.name, got)
	case refused(err):
		fmt.Printf("%s held: %v\n", a.name, err)
	default:
		fmt.Printf("%s through: allowed, and then: %v\n", a.name, err)
	}
}

// errNothing is for what is there and empty, as if it were not.
var errNothing = errors.New("nothing is there")

func refused(err error) bool {
	for _, refusal := range []error{errNothing, unix.EPERM, unix.EACCES, unix.ENOSYS, unix.ENOENT, unix.ENOTDIR, unix.EROFS, unix.ESRCH, unix.ECONNREFUSED, unix.EAFNOSUPPORT} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// errno turns what unix.Syscall returns into an error.
func errno(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

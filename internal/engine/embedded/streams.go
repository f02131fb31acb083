//go:build linux && cgo

package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// streams passes on what a container prints to two writers. One thread reads both, as soon
// as there is anything: so what comes on one stream after the other stays in that order, as
// far as it can be told, which two readers at a time would mix.
type streams struct {
	stdout, stderr *os.File // for the container
	copied         chan error
}

// newStreams begins to copy. The caller closes the streams when the container has ended.
func newStreams(stdout, stderr io.Writer) (*streams, error) {
	s := &streams{copied: make(chan error, 1)}
	var from [2]*os.File
	for i, to := range []**os.File{&s.stdout, &s.stderr} {
		var err error
		if from[i], *to, err = blockingPipe(); err != nil {
			return nil, errors.Join(fmt.Errorf("making a pipe for a container's output: %w", err), closeAll(from[0], s.stdout))
		}
	}
	go func() { s.copied <- errors.Join(merge(from, [2]io.Writer{stdout, stderr}), closeAll(from[:]...)) }()
	return s, nil
}

// close waits until all was passed on.
func (s *streams) close() error {
	return errors.Join(closeAll(s.stdout, s.stderr), <-s.copied)
}

func closeAll(files ...*os.File) error {
	var errs []error
	for _, f := range files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// blockingPipe is a pipe that the runtime's poller knows nothing of.
func blockingPipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "output"), os.NewFile(uintptr(fds[1]), "output"), nil
}

// merge copies until both have ended. A writer that fails ends nothing: the container would
// wait for its reader for ever.
func merge(from [2]*os.File, to [2]io.Writer) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var failed error
	buffer := make([]byte, 32<<10)
	wait := []unix.PollFd{{Fd: int32(from[0].Fd()), Events: unix.POLLIN}, {Fd: int32(from[1].Fd()), Events: unix.POLLIN}}
	for open := 2; open > 0; {
		if _, err := unix.Poll(wait, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return errors.Join(failed, fmt.Errorf("waiting for a container's output: %w", err))
		}
		for i := range wait {
			if wait[i].Revents == 0 {
				continue
			}
			n, err := from[i].Read(buffer)
			if n > 0 {
				if _, err := to[i].Write(buffer[:n]); err != nil && failed == nil {
					failed = fmt.Errorf("passing on a container's output: %w", err)
				}
			}
			if err != nil {
				wait[i].Fd, wait[i].Revents = -1, 0 // is not looked at any more
				open--
			}
		}
	}
	return failed
}

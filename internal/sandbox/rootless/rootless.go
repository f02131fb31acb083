//go:build linux && cgo

package rootless

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/sandbox/container"
)

// stageVariable tells a process of this program which of Run's children it is.
const stageVariable = "ACRUX_ROOTLESS_STAGE"

// The stages. A process gains the rights of root by an exec after its IDs were mapped, so
// it takes two.
const (
	stageWait = "wait" // for the IDs
	stageRoot = "root" // the first process
	stageDone = "done" // the program proper
)

// Inside reports whether this process was started by Run.
func Inside() bool { return os.Getenv(stageVariable) == stageDone }

// Available returns nil if Run can work for whoever runs this process, and what is missing
// otherwise.
func Available() error {
	_, err := find()
	return err
}

// Run runs this program again, with the same arguments, as root of a user namespace, and
// returns its exit status. Signals are passed on.
func Run(args []string) (int, error) {
	who, err := find()
	if err != nil {
		return 0, err
	}
	program, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("finding this program: %w", err)
	}
	life, alive, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("making a pipe: %w", err)
	}
	defer alive.Close()
	ready, started, err := os.Pipe()
	if err != nil {
		life.Close()
		return 0, fmt.Errorf("making a pipe: %w", err)
	}
	defer ready.Close()
	cmd := &exec.Cmd{
		Path: program, Args: args, Env: append(os.Environ(), stageVariable+"="+stageWait),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{life, started},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
			Setpgid:    true, // what a terminal sends comes through us, once
		},
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	if !signal.Ignored(unix.SIGHUP) { // by nohup
		signal.Notify(signals, unix.SIGHUP)
	}
	defer signal.Stop(signals)
	err = cmd.Start()
	life.Close()
	started.Close()
	if err != nil {
		return 0, problem.New(problem.Unavailable, "RootlessUnavailable", "this system gives no user namespace: %v", err).
			Hint("sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000")
	}
	if err := who.mapIDs(cmd.Process.Pid); err != nil {
		return 0, errors.Join(err, cmd.Process.Kill(), ignoreExit(cmd.Wait()))
	}
	if _, err := alive.Write([]byte{1}); err != nil {
		return 0, errors.Join(fmt.Errorf("starting in a user namespace: %w", err), ignoreExit(cmd.Wait()))
	}
	go func() {
		// The first process of a namespace does not get signals before it waits for them.
		_, _ = ready.Read(make([]byte, 1)) // an end is that of the process
		for s := range signals {
			_ = cmd.Process.Signal(s) // fails only if it is just gone
		}
	}()
	return exitStatus(cmd.Wait())
}

func ignoreExit(err error) error {
	_, err = exitStatus(err)
	return err
}

func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// What the processes inside have open.
const (
	lifePipe  = 3 // ends with the process outside
	readyPipe = 4 // tells that signals are passed on
)

// Child does this process's part if it is one of Run's children, and returns its exit
// status. A main function calls it before all else.
func Child() (code int, was bool) {
	var err error
	switch os.Getenv(stageVariable) {
	case stageWait:
		err = wait()
	case stageRoot:
		code, err = beRoot()
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: starting in a user namespace:", err)
		code = 1
	}
	return code, true
}

// wait waits for the IDs and becomes the first process.
func wait() error {
	if n, err := unix.Read(lifePipe, make([]byte, 1)); n != 1 {
		return errors.Join(errors.New("nobody mapped the IDs"), err)
	}
	return syscall.Exec("/proc/self/exe", os.Args, environment(stageRoot))
}

// environment is this process's with another stage.
func environment(stage string) []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, stageVariable+"=") {
			env = append(env, entry)
		}
	}
	return append(env, stageVariable+"="+stage)
}

// beRoot is the first process of the namespaces: it starts the program and waits for
// orphans until that has ended, or the process outside has.
func beRoot() (int, error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	unix.CloseOnExec(lifePipe)
	unix.CloseOnExec(readyPipe)
	go func() {
		_, _ = unix.Read(lifePipe, make([]byte, 1)) // returns when the other end is gone
		os.Exit(128 + int(unix.SIGKILL))
	}()
	// What is mounted here stays here; what the machine mounts is seen.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return 0, fmt.Errorf("keeping mounts apart: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return 0, fmt.Errorf("mounting /proc: %w", err)
	}
	return container.Reap(program, os.Args, environment(stageDone), func() {
		_, _ = unix.Write(readyPipe, []byte{1}) // who is gone needs not know
		_ = unix.Close(readyPipe)
	})
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/daemon"
)

// readyLine is what a server says when it answers.
const readyLine = "Acrux is ready at "

// How long a server may take to answer, and to stop.
const (
	startTime = time.Minute
	stopTime  = time.Minute
	pollTime  = 20 * time.Millisecond
)

// detach starts this very server as a process of its own, and returns when it answers. What
// it writes goes to a file beside its data; that of the start before is kept.
func detach(ctx context.Context, env *environment, config daemon.Config) error {
	if daemon.Running(config.Data) {
		return problem.New(problem.Conflict, "Running", "A server has the data directory %s already.", config.Data).
			Hint("acrux stop --data %s", config.Data)
	}
	if err := os.MkdirAll(config.Data, 0o700); err != nil {
		return err
	}
	name := filepath.Join(config.Data, "serve.log")
	if err := os.Rename(name, name+".1"); err != nil && !os.IsNotExist(err) {
		return err
	}
	log, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	arguments := slices.DeleteFunc(slices.Clone(env.args[1:]), func(arg string) bool {
		return arg == "--detach" || arg == "--detach=true"
	})
	cmd := exec.Command(program, arguments...)
	cmd.Args[0], cmd.Stdout, cmd.Stderr = env.args[0], log, log
	alone(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ready, err := awaitReady(ctx, name, ended)
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended by itself
		return err
	}
	if err := os.WriteFile(pidFile(config.Data), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%s\nIt goes on in the background, as process %d; its log is %s.\nTo stop it: acrux stop --data %s\n",
		ready, cmd.Process.Pid, name, config.Data)
	return nil
}

func pidFile(data string) string { return filepath.Join(data, "serve.pid") }

// awaitReady reads the log of a server until it answers; if it ends before, what it said
// last is the error.
func awaitReady(ctx context.Context, log string, ended <-chan error) (string, error) {
	late := fmt.Errorf("the server does not answer after %s; see %s", startTime, log)
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, late)
	defer cancel()
	for {
		text, err := os.ReadFile(log)
		if err != nil {
			return "", err
		}
		if at := bytes.Index(text, []byte(readyLine)); at >= 0 {
			line, _, _ := strings.Cut(string(text[at:]), "\n")
			return line, nil
		}
		select {
		case <-ended:
			return "", lastWords(log)
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pollTime):
		}
	}
}

// lastWords are those of a server that ended instead of answering.
func lastWords(log string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	said := strings.TrimSpace(string(text[max(0, len(text)-4096):]))
	if at := strings.LastIndex(said, "error: "); at >= 0 {
		said = said[at+len("error: "):]
	}
	return fmt.Errorf("the server did not start: %s", said)
}

// newStopCommand stops a server that was started with --detach.
func newStopCommand(env *environment) *cobra.Command {
	var data string
	cmd := &cobra.Command{Use: "stop", Short: "Stop a server that was started with serve --detach", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&data, "data", "", dataHelp)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := env.dataDir(data)
		if err != nil {
			return err
		}
		return stop(cmd.Context(), env.stdout, dir)
	}
	return cmd
}

func stop(ctx context.Context, out io.Writer, data string) error {
	if !daemon.Running(data) {
		fmt.Fprintf(out, "No server runs on %s.\n", data)
		return nil
	}
	text, err := os.ReadFile(pidFile(data))
	pid, parseErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || parseErr != nil || pid <= 1 {
		return problem.New(problem.Conflict, "NotDetached",
			"The server on %s was not started with --detach; end it where it was started.", data)
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		return fmt.Errorf("stopping process %d, which %s names: %w", pid, pidFile(data), err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, errors.New("the server has not stopped yet"))
	defer cancel()
	for daemon.Running(data) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollTime):
		}
	}
	return os.Remove(pidFile(data))
}

// awaitServer waits for a server that is just being started: a little for the first sign of
// it, and longer while it has the data directory and does not answer yet.
func awaitServer(ctx context.Context, env *environment, data string) {
	told := false
	for begin := time.Now(); ctx.Err() == nil; time.Sleep(pollTime) {
		pub, err := daemon.ReadPublished(data)
		running := daemon.Running(data)
		if err == nil && running && answers(pub.Address) {
			return
		}
		most := startTime
		switch {
		case running:
		case err == nil: // it was stopped, or is about to be there
			most = 500 * time.Millisecond
		default:
			most = 2 * time.Second
		}
		if time.Since(begin) > most {
			return
		}
		if !told && (running || err != nil) {
			told = true
			fmt.Fprintf(env.stderr, "waiting for the server of %s ...\n", data)
		}
	}
}

func answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

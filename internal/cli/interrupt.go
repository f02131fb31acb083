package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// interrupted is the cause of the end of a command whose user has asked for it.
type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string { return "canceled by " + i.signal.String() }

// status is what a shell expects of a program that a signal ended.
func (i interrupted) status() int { return 128 + int(i.signal) }

// interruptible returns a context that the first signal to end ends. The second one ends the
// program, whatever it does: so one that gives back what it holds needs not be waited for.
// The caller calls stop.
func interruptible(ctx context.Context, stderr io.Writer) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals, stopped := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for first := true; ; first = false {
			select {
			case s := <-signals:
				by := interrupted{s.(syscall.Signal)}
				if !first {
					os.Exit(by.status())
				}
				fmt.Fprintln(stderr, "Canceling; once more ends it at once ...")
				cancel(by)
			case <-stopped:
				return
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); close(stopped); cancel(nil) }
}

// asInterrupted is the exit of a command that was interrupted, or err.
func asInterrupted(ctx context.Context, err error) error {
	var by interrupted
	if err != nil && errors.As(context.Cause(ctx), &by) {
		return exitError(by.status())
	}
	return err
}

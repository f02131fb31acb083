package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupted is the cause of the end of a command whose user has asked for it.
type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string { return "canceled by " + i.signal.String() }

// status is what a shell expects of a program that a signal ended.
func (i interrupted) status() int { return 128 + int(i.signal) }

// signals is what a command does when it is asked to end. It is safe for concurrent use.
type signals struct {
	mu      sync.Mutex
	words   string             // what then goes on, or does not
	reading func()             // while it waits for what its user types: gives the terminal back
	taker   chan<- interrupted // is told instead
}

// goesOn says what goes on, or does not, if the command ends now.
func (s *signals) goesOn(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = fmt.Sprintf(format, args...)
}

// whileReading has the next signal end the program at once, until done is called: what waits
// for a user's line does not notice the end of a context. restore may be nil.
func (s *signals) whileReading(restore func()) (done func()) {
	if restore == nil {
		restore = func() {}
	}
	change := func(to func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reading = to
	}
	change(restore)
	return func() { change(nil) }
}

// take has signals told to somebody, until giveBack is called. He may miss some.
func (s *signals) take(taker chan<- interrupted) (giveBack func()) {
	change := func(to chan<- interrupted) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taker = to
	}
	change(taker)
	return func() { change(nil) }
}

// came is called for each signal. It returns whether the command is to end now, with what is to
// be said then. If nobody could, the program ends here.
func (s *signals) came(by interrupted) (end bool, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taker != nil:
		select {
		case s.taker <- by:
		default: // he has not heard of the last one yet
		}
		return false, ""
	case s.reading != nil:
		s.reading()
		os.Exit(by.status())
	}
	return true, s.words
}

// interruptible runs a command that the first signal to end cancels, after it has said what
// goes on. The second one ends the program, whatever it does: so what gives back what it holds
// needs not be waited for. The status of a command that ended so is the signal's.
func (e *environment) interruptible(ctx context.Context, words string, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.signals.goesOn("%s", words)
	came, stopped := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(came, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // by nohup
		signal.Notify(came, syscall.SIGHUP)
	}
	defer close(stopped)
	defer signal.Stop(came)
	go func() {
		for {
			select {
			case s := <-came:
				by := interrupted{s.(syscall.Signal)}
				end, words := e.signals.came(by)
				if end && ctx.Err() != nil {
					os.Exit(by.status())
				}
				if end {
					fmt.Fprintln(e.stderr, words)
					cancel(by)
				}
			case <-stopped:
				return
			}
		}
	}()
	err := run(ctx)
	var by interrupted
	if err != nil && errors.As(context.Cause(ctx), &by) {
		return exitError(by.status())
	}
	return err
}

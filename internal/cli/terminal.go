package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/acrux/acrux/internal/secret"
)

// isTerminal reports whether a stream is one end of a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 4 << 10

// newPassword asks for a new password, twice and without showing it, or reads the first
// line of what is no terminal.
func (e *environment) newPassword(user string) (secret.String, error) {
	if !isTerminal(e.stdin) {
		defer e.signals.whileReading(nil)()
		line, err := bufio.NewReader(io.LimitReader(e.stdin, maxPassword)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return secret.String{}, fmt.Errorf("reading the password: %w", err)
		}
		return secret.New(strings.TrimRight(line, "\r\n")), nil
	}
	first, err := e.readHidden("Password of " + user + ": ")
	if err != nil {
		return secret.String{}, err
	}
	second, err := e.readHidden("Again: ")
	if err == nil && first != second {
		err = errors.New("the passwords differ")
	}
	return secret.New(first), err
}

// readHidden reads a line from the terminal that the standard input is, and does not show it.
func (e *environment) readHidden(prompt string) (string, error) {
	terminal := int(e.stdin.(*os.File).Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	defer fmt.Fprintln(e.stderr)
	defer e.signals.whileReading(func() {
		_ = term.Restore(terminal, before) // as well as can be
		fmt.Fprintln(e.stderr)
	})()
	fmt.Fprint(e.stderr, prompt)
	text, err := term.ReadPassword(terminal)
	return string(text), err
}

// progressLine is one line on a terminal that tells how far something is. It is safe for
// concurrent use.
type progressLine struct {
	w  io.Writer
	on bool

	mu     sync.Mutex
	shown  bool
	latest time.Time
}

// newProgress is a line where the diagnostics go, if that is a terminal.
func (e *environment) newProgress() *progressLine {
	return &progressLine{w: e.stderr, on: isTerminal(e.stderr)}
}

// show tells what is done, and how far it is. It may be called more often than a line can be read.
func (p *progressLine) show(what, text string) {
	if !p.on || text == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.latest) > 100*time.Millisecond {
		p.shown, p.latest = true, now
		fmt.Fprintf(p.w, "\r\x1b[K%s: %s", what, text)
	}
}

func (p *progressLine) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// beside is a writer to the terminal that a line is on, too.
func (p *progressLine) beside(w io.Writer) io.Writer { return besideLine{p, w} }

type besideLine struct {
	line *progressLine
	w    io.Writer
}

func (b besideLine) Write(p []byte) (int, error) {
	b.line.clear()
	return b.w.Write(p)
}

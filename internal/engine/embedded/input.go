//go:build linux && cgo

package embedded

import (
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/moby/sys/signal"
)

// input is the standard input of a container: what those who are attached put in.
type input struct {
	*io.PipeReader
	into *io.PipeWriter
}

func newInput() *input {
	read, write := io.Pipe()
	return &input{read, write}
}

// Close ends it for both sides.
func (i *input) Close() error {
	i.into.Close() // never fails
	return i.PipeReader.CloseWithError(os.ErrClosed)
}

// stopSignal is the signal that an image wants to be stopped by.
func stopSignal(name string) int {
	if s, err := signal.ParseSignal(strings.TrimSpace(name)); err == nil && name != "" {
		return int(s)
	}
	return int(syscall.SIGTERM)
}

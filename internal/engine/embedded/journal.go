//go:build linux && cgo

package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/engine/dockerapi"
)

// maxJournal is how much of a container's output is kept to be read later. Who is
// attached gets all of it.
const maxJournal = 16 << 20

// journal is the output of a container: kept in a file, and passed on to whoever is
// attached. It is safe for concurrent use.
type journal struct {
	file *os.File

	mu       sync.Mutex
	size     int64
	full     bool
	closed   bool
	more     chan struct{} // closed when there is more, or when there will be nothing more
	attached []*attachment
}

// attachment is somebody who listens.
type attachment struct{ stdout, stderr io.Writer }

func newJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the journal of a container: %w", err)
	}
	return &journal{file: file, more: make(chan struct{})}, nil
}

// stream is a writer for one of the two streams.
func (j *journal) stream(stream dockerapi.Stream) io.Writer { return streamWriter{j, stream} }

type streamWriter struct {
	journal *journal
	stream  dockerapi.Stream
}

// Write implements io.Writer. It never fails: a container does not end because nobody
// listens. Who listens slowly slows the container down, as with docker.
func (w streamWriter) Write(p []byte) (int, error) {
	j := w.journal
	j.mu.Lock()
	listeners := slices.Clone(j.attached)
	j.keep(w.stream, p)
	j.mu.Unlock()
	for _, one := range listeners {
		to := one.stdout
		if w.stream == dockerapi.Stderr {
			to = one.stderr
		}
		if to == nil {
			continue
		}
		if _, err := to.Write(p); err != nil {
			j.detach(one)
		}
	}
	return len(p), nil
}

// entryHeader is stream, time in nanoseconds, length.
const entryHeader = 1 + 8 + 4

// keep writes an entry to the file. The caller holds the lock.
func (j *journal) keep(stream dockerapi.Stream, p []byte) {
	if j.full || j.closed {
		return
	}
	if j.size+int64(len(p)) > maxJournal {
		j.full = true
		p = fmt.Appendf(nil, "\n[what this container writes beyond %d MiB is not kept]\n", maxJournal>>20)
	}
	entry := make([]byte, entryHeader, entryHeader+len(p))
	entry[0] = byte(stream)
	binary.BigEndian.PutUint64(entry[1:], uint64(time.Now().UnixNano()))
	binary.BigEndian.PutUint32(entry[9:], uint32(len(p)))
	entry = append(entry, p...)
	n, err := j.file.WriteAt(entry, j.size)
	if err != nil || n < len(entry) {
		j.full = true // what was written so far can still be read
		return
	}
	j.size += int64(len(entry))
	close(j.more)
	j.more = make(chan struct{})
}

// attach has all that comes from now on written to two writers, which may be nil.
func (j *journal) attach(stdout, stderr io.Writer) *attachment {
	a := &attachment{stdout, stderr}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.attached = append(j.attached, a)
	return a
}

func (j *journal) detach(a *attachment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.attached = slices.DeleteFunc(j.attached, func(one *attachment) bool { return one == a })
}

// end says that nothing more comes.
func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.closed = true
		close(j.more)
	}
}

// remove takes the file away.
func (j *journal) remove() error {
	j.end()
	return errors.Join(j.file.Close(), os.Remove(j.file.Name()))
}

// read gives the entries to emit, in order, and with follow waits for more until the
// journal ends or ctx does.
func (j *journal) read(ctx context.Context, follow bool, emit func(dockerapi.Entry) error) error {
	for at := int64(0); ; {
		j.mu.Lock()
		size, closed, more := j.size, j.closed, j.more
		j.mu.Unlock()
		for at < size {
			entry, n, err := j.entry(at)
			if err != nil {
				return err
			}
			if err := emit(entry); err != nil {
				return err
			}
			at += n
		}
		if closed || !follow {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (j *journal) entry(at int64) (dockerapi.Entry, int64, error) {
	var header [entryHeader]byte
	if _, err := j.file.ReadAt(header[:], at); err != nil {
		return dockerapi.Entry{}, 0, fmt.Errorf("reading the journal of a container: %w", err)
	}
	data := make([]byte, binary.BigEndian.Uint32(header[9:]))
	if _, err := j.file.ReadAt(data, at+entryHeader); err != nil {
		return dockerapi.Entry{}, 0, fmt.Errorf("reading the journal of a container: %w", err)
	}
	when := time.Unix(0, int64(binary.BigEndian.Uint64(header[1:])))
	return dockerapi.Entry{Stream: dockerapi.Stream(header[0]), Time: when, Data: data}, entryHeader + int64(len(data)), nil
}

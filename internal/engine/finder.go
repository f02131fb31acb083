package engine

import (
	"bytes"
	"io"
	"sync"
)

// finder looks for texts in the output of an attempt while it passes. Both of its streams
// may be written to at the same time.
type finder struct {
	texts          []string
	stdout, stderr *finderStream

	mu    sync.Mutex
	found bool
	tail  []byte // end of the output, for the hint after a failure
}

// finderStream is one of the streams.
type finderStream struct {
	finder  *finder
	w       io.Writer
	overlap []byte // end of what has passed, in which a text may begin
}

// maxTail is how much of the end of an attempt's output is kept.
const maxTail = 16 << 10

func newFinder(output *Output, texts ...string) *finder {
	f := &finder{texts: texts}
	f.stdout, f.stderr = &finderStream{finder: f, w: output}, &finderStream{finder: f, w: output.Stderr()}
	return f
}

// Write implements io.Writer.
func (f *finder) Write(p []byte) (int, error) { return f.stdout.Write(p) }

// Stderr is the other stream.
func (f *finder) Stderr() io.Writer { return f.stderr }

// Write implements io.Writer.
func (s *finderStream) Write(p []byte) (int, error) {
	s.finder.look(s, p)
	return s.w.Write(p)
}

func (f *finder) look(s *finderStream, p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	window := append(s.overlap, p...)
	longest := 0
	for _, text := range f.texts {
		f.found = f.found || bytes.Contains(window, []byte(text))
		longest = max(longest, len(text))
	}
	s.overlap = append([]byte(nil), window[max(0, len(window)-longest):]...)
	f.tail = append(f.tail, p...)
	if len(f.tail) > 2*maxTail {
		f.tail = append(f.tail[:0], f.tail[len(f.tail)-maxTail:]...)
	}
}

package buildlog

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Step is one instruction of a Dockerfile.
type Step struct {
	Text string // the instruction as written, on one line
	Meta bool   // stands before the first stage and has nothing to do
}

// Classic prints one build. It is safe for concurrent use; writing errors are not
// reported, since a log that nobody takes is no reason to stop a build.
type Classic struct {
	mu       sync.Mutex
	out      io.Writer
	steps    []step
	vertices map[string]*vertex
	current  int  // the first step that is not finished
	located  bool // it is known which vertices belong to which step
	ended    bool
}

type step struct {
	text     string
	meta     bool
	intro    string // printed after the headline, such as the lines of a pull
	id       string // what is printed after the arrow, if known
	vertices []*vertex
	headline bool         // was printed
	pending  bytes.Buffer // output that waits for its turn
}

type vertex struct {
	step   int
	id     string
	done   bool
	cached bool
	lines  lines
}

// NewClassic returns a printer to out.
func NewClassic(out io.Writer) *Classic {
	return &Classic{out: out, vertices: map[string]*vertex{}}
}

// Begin says what the steps are.
func (c *Classic) Begin(steps []Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range steps {
		c.steps = append(c.steps, step{text: s.Text, meta: s.Meta})
	}
}

// Base says what is printed for a step that begins a stage: the lines about its base
// image, and its short ID.
func (c *Classic) Base(step int, intro, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps[step].intro, c.steps[step].id = intro, id
}

// Locate says which step a vertex belongs to; the first answer holds.
func (c *Classic) Locate(vertexID string, step int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.vertices[vertexID] == nil {
		v := &vertex{step: step, id: vertexID, lines: lines{}}
		c.vertices[vertexID] = v
		c.steps[step].vertices = append(c.steps[step].vertices, v)
	}
}

// Located says that all vertices are known now. Steps without any have nothing to do.
func (c *Classic) Located() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.located = true
	c.advance()
}

// Log gives a piece of what a vertex prints to a stream.
func (c *Classic) Log(vertexID string, stream int, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vertices[vertexID]
	if v == nil || c.ended {
		return
	}
	data = v.lines.add(stream, data)
	if v.step != c.current {
		c.steps[v.step].pending.Write(data)
		return
	}
	c.head(v.step)
	if len(data) > 0 {
		c.out.Write(data)
	}
}

// rest prints the lines of a step that have no end.
func (c *Classic) rest(s *step) {
	for _, v := range s.vertices {
		if text := v.lines.rest(); len(text) > 0 {
			c.out.Write(text)
		}
	}
}

// Done says that a vertex is done, or was not done because its result is known.
func (c *Classic) Done(vertexID string, cached bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vertices[vertexID]
	if v == nil || v.done || c.ended {
		return
	}
	v.done, v.cached = true, cached
	c.advance()
}

// advance prints every step that is complete, up to the first that is not.
func (c *Classic) advance() {
	for c.located && c.current < len(c.steps) {
		s := &c.steps[c.current]
		c.head(c.current)
		if !s.complete() {
			return
		}
		c.tail(s)
		c.current++
	}
}

func (s *step) complete() bool {
	for _, v := range s.vertices {
		if !v.done {
			return false
		}
	}
	return true
}

// head prints what comes before a step's further output, once.
func (c *Classic) head(i int) {
	s := &c.steps[i]
	if s.headline {
		return
	}
	s.headline = true
	fmt.Fprintf(c.out, "Step %d/%d : %s\n%s", i+1, len(c.steps), s.text, s.intro)
	c.out.Write(s.pending.Bytes())
	s.pending.Reset()
}

// tail prints how a step ended. The builder has no images between the steps: the
// digest of the vertex stands in for the ID of one.
func (c *Classic) tail(s *step) {
	c.rest(s)
	id, cached := s.id, len(s.vertices) > 0
	for _, v := range s.vertices {
		cached = cached && v.cached
		if s.id == "" {
			id = short(v.id)
		}
	}
	if cached && s.id == "" {
		fmt.Fprintln(c.out, " ---> Using cache")
	}
	if id != "" {
		fmt.Fprintf(c.out, " ---> %s\n", id)
	}
}

// Failed ends the printing at a step that failed. What came before it is printed with
// the output it gave, unless nothing was begun at all: then only what does nothing.
func (c *Classic) Failed(step int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := c.current; i <= step && i < len(c.steps); i++ {
		if !c.located && i < step && !c.steps[i].meta {
			continue
		}
		c.head(i)
		c.rest(&c.steps[i])
		if i < step && len(c.steps[i].vertices) > 0 && c.steps[i].complete() {
			c.tail(&c.steps[i])
		}
	}
	c.ended = true
}

// End ends the printing of a build that succeeded. What has not reported by now was
// not needed.
func (c *Classic) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; c.current < len(c.steps); c.current++ {
		c.head(c.current)
		c.tail(&c.steps[c.current])
	}
	c.ended = true
}

// StepOf tells which step a vertex belongs to.
func (c *Classic) StepOf(vertexID string) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vertices[vertexID]
	if v == nil {
		return 0, false
	}
	return v.step, true
}

// short is docker's short form of "algorithm:hex".
func short(digest string) string {
	for i := range digest {
		if digest[i] == ':' {
			digest = digest[i+1:]
			break
		}
	}
	return digest[:min(12, len(digest))]
}

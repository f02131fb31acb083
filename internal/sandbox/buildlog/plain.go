package buildlog

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// Plain prints one build as BuildKit's plain output does: a number for each vertex,
// every line led by the number of its vertex. It is safe for concurrent use; writing
// errors are not reported.
type Plain struct {
	mu       sync.Mutex
	out      io.Writer
	vertices map[string]*plainVertex
	current  *plainVertex // the one that printed last
	warned   map[string][]string
}

type plainVertex struct {
	number int
	name   string
	begun  time.Time
	lines  lines
	ended  bool
}

// Vertex is how far a vertex of the build is.
type Vertex struct {
	ID, Name         string
	Started, Stopped time.Time // zero if not yet
	Cached           bool
	Error            string
}

// NewPlain returns a printer to out.
func NewPlain(out io.Writer) *Plain {
	return &Plain{out: out, vertices: map[string]*plainVertex{}, warned: map[string][]string{}}
}

// Vertex tells about a vertex; it may be told again and again.
func (p *Plain) Vertex(v Vertex) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v.Started.IsZero() {
		return
	}
	seen := p.vertices[v.ID]
	if seen == nil {
		seen = &plainVertex{number: len(p.vertices) + 1, name: v.Name, lines: lines{}}
		p.vertices[v.ID] = seen
	}
	if seen.ended {
		return
	}
	if seen.begun.IsZero() {
		seen.begun = v.Started
	}
	p.turn(seen)
	for _, text := range p.warned[v.ID] {
		p.warn(seen, text)
	}
	delete(p.warned, v.ID)
	if v.Stopped.IsZero() {
		return
	}
	seen.ended = true
	p.flush(seen)
	switch {
	case v.Error != "":
		fmt.Fprintf(p.out, "#%d ERROR: %s\n", seen.number, v.Error)
	case v.Cached:
		fmt.Fprintf(p.out, "#%d CACHED\n", seen.number)
	default:
		fmt.Fprintf(p.out, "#%d DONE %.1fs\n", seen.number, v.Stopped.Sub(v.Started).Seconds())
	}
}

// turn makes v the vertex that prints, with its name at the first time.
func (p *Plain) turn(v *plainVertex) {
	if p.current == v {
		return
	}
	if p.current != nil {
		if !p.current.ended {
			fmt.Fprintf(p.out, "#%d ...\n", p.current.number)
		}
		fmt.Fprintln(p.out)
	}
	p.current = v
	fmt.Fprintf(p.out, "#%d %s\n", v.number, v.name)
}

// Log gives a piece of what a vertex prints to a stream, written at a time.
func (p *Plain) Log(vertexID string, stream int, at time.Time, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.vertices[vertexID]
	if v == nil || v.ended {
		return
	}
	p.turn(v)
	for line := range bytes.Lines(v.lines.add(stream, data)) {
		fmt.Fprintf(p.out, "#%d %.3f %s\n", v.number, max(0, at.Sub(v.begun).Seconds()), bytes.TrimSuffix(line, []byte("\n")))
	}
}

// Status says that a part of a vertex's work, such as the transfer of a layer, is done.
func (p *Plain) Status(vertexID, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.vertices[vertexID]; v != nil && !v.ended {
		p.turn(v)
		fmt.Fprintf(p.out, "#%d %s done\n", v.number, text)
	}
}

// Warn tells of a warning that belongs to a vertex, which may be told of later.
func (p *Plain) Warn(vertexID, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.vertices[vertexID]; v != nil {
		p.turn(v)
		p.warn(v, text)
		return
	}
	p.warned[vertexID] = append(p.warned[vertexID], text)
}

func (p *Plain) warn(v *plainVertex, text string) {
	fmt.Fprintf(p.out, "#%d WARN: %s\n", v.number, text)
}

// flush prints last lines without an end.
func (p *Plain) flush(v *plainVertex) {
	for line := range bytes.Lines(v.lines.rest()) {
		fmt.Fprintf(p.out, "#%d %s", v.number, line)
	}
}

package cli

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal reports whether a stream is one end of a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progressLine is one line on a terminal that tells how far something is.
type progressLine struct {
	w     io.Writer
	on    bool
	shown bool
}

func (p *progressLine) show(text string) {
	if p.on && text != "" {
		fmt.Fprintf(p.w, "\r\x1b[KImporting: %s", text)
		p.shown = true
	}
}

func (p *progressLine) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

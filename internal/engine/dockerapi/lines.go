package dockerapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// stream answers with what do writes, line by line, each a JSON object with the text under
// a name. If do says that it failed, its last line is the reason.
func stream(w http.ResponseWriter, name string, do func(out io.Writer) (bool, error)) error {
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(http.StatusOK)
	lines := &lineStream{w: w, name: name, keepEnd: name == "stream"}
	ok, err := do(lines)
	switch {
	case err != nil:
		lines.flush()
		lines.failed(err.Error())
	case ok:
		lines.flush()
	default:
		lines.failed(strings.TrimSpace(string(lines.last)))
	}
	return nil
}

// lineStream holds the last line back: it may be the reason of a failure.
type lineStream struct {
	w       io.Writer
	name    string
	keepEnd bool // the line's end is part of the text
	partial []byte
	last    []byte
}

// Write implements io.Writer.
func (l *lineStream) Write(p []byte) (int, error) {
	l.partial = append(l.partial, p...)
	for {
		end := lineEnd(l.partial)
		if end == 0 {
			return len(p), nil
		}
		l.flushLast()
		l.last = append([]byte(nil), l.partial[:end]...)
		l.partial = l.partial[end:]
	}
}

func (l *lineStream) flushLast() {
	if len(l.last) == 0 {
		return
	}
	text := string(l.last)
	if !l.keepEnd {
		text = strings.TrimSuffix(text, "\n")
	}
	l.send(map[string]any{l.name: text})
	l.last = nil
}

func (l *lineStream) flush() {
	l.flushLast()
	l.last, l.partial = l.partial, nil
	l.flushLast()
}

func (l *lineStream) failed(text string) {
	if text == "" {
		text = "the request failed"
	}
	l.send(map[string]any{"errorDetail": map[string]string{"message": text}, "error": text})
}

func (l *lineStream) send(body any) {
	if json.NewEncoder(l.w).Encode(body) != nil {
		return // whoever asked is gone
	}
	if w, ok := l.w.(http.ResponseWriter); ok {
		_ = http.NewResponseController(w).Flush()
	}
}

// aux sends a result among the lines.
func (l *lineStream) aux(body any) { l.send(map[string]any{"aux": body}) }

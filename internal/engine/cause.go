package engine

import "strings"

// The message that ends a log is Azure's, and the same for whatever failed. What failed first is
// told apart from it: what the log says of it, without the hints, on one line.

// maxCause bounds a cause, in bytes.
const maxCause = 1 << 10

// noteReason remembers why the last attempt of a step failed, where those who execute it said so:
// the builder, the registry, the runtime that could not start a program. What programs say by
// themselves is theirs; their exit status is told anyway.
func (r *Run) noteReason(step string, out *finder) {
	out.mu.Lock()
	tail := string(out.tail)
	out.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons[step] = lastWords(tail)
}

// lastWords is the last line of an output that says something.
func lastWords(output string) (last string) {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if helps := strings.HasPrefix(line, "hint:") || strings.HasPrefix(line, "See '"); line != "" && !helps {
			last = line
		}
	}
	return last
}

// cause is why the run failed. It has no secrets: it is kept, and shown to who may see the run.
func (r *Run) cause(failure Failure) string {
	r.mu.Lock()
	reason := r.reasons[r.culprit]
	r.mu.Unlock()
	text := failure.Cause()
	if reason != "" {
		text += ": " + reason
	}
	return r.Log.mask.Text(shortCause(text))
}

// Cause is the failure on one line, without what would help.
func (f Failure) Cause() string {
	var lines []string
	for line := range strings.Lines(string(f)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "hint:") {
			lines = append(lines, line)
		}
	}
	return shortCause(strings.Join(lines, "; "))
}

func shortCause(text string) string {
	if len(text) <= maxCause {
		return text
	}
	return strings.ToValidUTF8(text[:maxCause], "") + "…"
}

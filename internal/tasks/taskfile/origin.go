package taskfile

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// origin maps the places of a text back to those of the text it was made from. Its
// spans are in order; between two of them the texts are the same.
type origin struct{ spans []span }

// span says that the text from byte at on comes from byte from of the older one. A
// fixed span comes from there as a whole: a value that was put in.
type span struct {
	at, from int
	fixed    bool
}

// maxSpans bounds the memory of an origin. Beyond it places are less exact.
const maxSpans = 1 << 16

func (o *origin) mark(at, from int, fixed bool) {
	if n := len(o.spans); n > 0 {
		last := o.spans[n-1]
		if last.fixed == fixed && (fixed && last.from == from || !fixed && last.from+at-last.at == from) {
			return
		}
		if last.at == at {
			o.spans[n-1] = span{at, from, fixed}
			return
		}
		if n >= maxSpans {
			return
		}
	}
	o.spans = append(o.spans, span{at, from, fixed})
}

func (o *origin) locate(at int) int {
	i := sort.Search(len(o.spans), func(i int) bool { return o.spans[i].at > at }) - 1
	switch {
	case i < 0:
		return at
	case o.spans[i].fixed:
		return o.spans[i].from
	}
	return o.spans[i].from + at - o.spans[i].at
}

// sourced is a text made from a file, with the way back to it.
type sourced struct {
	text     string
	trail    []origin // the last step first
	inserted []string // by templates, if a shell would care
}

// become is the text after one more step.
func (s sourced) become(text string, from origin) sourced {
	return sourced{text, append([]origin{from}, s.trail...), s.inserted}
}

// withoutMark is the text without its byte order mark.
func (s sourced) withoutMark() sourced {
	text, marked := strings.CutPrefix(s.text, byteOrderMark)
	if !marked {
		return s
	}
	var from origin
	from.mark(0, len(byteOrderMark), false)
	return s.become(text, from)
}

// offset returns the byte of the file from which a byte of the text comes.
func (s sourced) offset(at int) int {
	for i := range s.trail {
		at = s.trail[i].locate(at)
	}
	return at
}

// lineLength is the length of the first line with its end. YAML 1.1 has more line
// ends than editors have.
func lineLength(text string) int {
	end := strings.IndexAny(text, "\r\n\u0085\u2028\u2029")
	if end < 0 {
		return len(text)
	}
	if strings.HasPrefix(text[end:], "\r\n") {
		return end + 2
	}
	_, size := utf8.DecodeRuneInString(text[end:])
	return end + size
}

// lineAndColumn are those of a byte as editors count: from 1, columns in characters.
func lineAndColumn(file []byte, at int) (line, column int) {
	before := string(file[:min(max(at, 0), len(file))])
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(strings.TrimPrefix(before[start:], "\ufeff")) + 1
}

package buildlog

import (
	"bytes"
	"maps"
	"slices"
)

// lines makes lines of what the streams of a vertex print in pieces. Whoever hides secrets
// in a log sees what one stream prints in one piece that way, and not parted by another.
type lines map[int][]byte

// maxLine is how much of a line is kept back for its end. What is longer comes in pieces.
const maxLine = 64 << 10

// add adds a piece of a stream and returns the lines that are whole now.
func (l lines) add(stream int, data []byte) []byte {
	text := append(l[stream], data...)
	end := bytes.LastIndexByte(text, '\n') + 1
	if len(text)-end > maxLine {
		end = len(text)
	}
	l[stream] = append([]byte(nil), text[end:]...)
	return text[:end]
}

// rest returns what has no end, with one, stream by stream, and keeps nothing.
func (l lines) rest() []byte {
	var all []byte
	for _, stream := range slices.Sorted(maps.Keys(l)) {
		if len(l[stream]) > 0 {
			all = append(append(all, l[stream]...), '\n')
		}
	}
	clear(l)
	return all
}

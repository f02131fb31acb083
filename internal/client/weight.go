package client

import (
	"path"
	"strings"
)

// Weight is how much of a folder was packed, and where most of it lies.
type Weight struct {
	Bytes        int64  // of files, before they are compressed
	Largest      string // the heaviest folder, with a slash at its end, or file of the folder itself
	LargestBytes int64
	Ignore       bool // the folder, or the Dockerfile, has an ignore file
}

// weights are the sizes of folders, which end in a slash, with all below them, and of the files
// of the first one.
type weights map[string]int64

func (w weights) add(name string, size int64) {
	dir := path.Dir(name)
	if dir == "." {
		w[name] += size
	}
	for ; dir != "."; dir = path.Dir(dir) {
		w[dir+"/"] += size
	}
}

// heaviest goes down from what is largest to where nearly all of that lies.
func (w weights) heaviest() (name string) {
	name = w.largestIn("")
	for {
		below := w.largestIn(name)
		if below == "" || w[below]*10 < w[name]*9 {
			return name
		}
		name = below
	}
}

// largestIn is the largest that lies in a folder itself, the first by name of several.
func (w weights) largestIn(folder string) (largest string) {
	for name, size := range w {
		rest, in := strings.CutPrefix(name, folder)
		if !in || rest == "" || strings.Contains(strings.TrimSuffix(rest, "/"), "/") {
			continue
		}
		if largest == "" || size > w[largest] || size == w[largest] && name < largest {
			largest = name
		}
	}
	return largest
}

// Package docs holds the test that does what the README and the pages below docs say: each
// block of commands is pasted as it stands, each file that is shown is read by what reads
// such files.
package docs

import (
	"bufio"
	"path"
	"regexp"
	"strings"
)

// block is a fenced block of a page.
type block struct {
	page string
	line int
	kind string // what follows the fence: sh, yaml, json, text
	name string // of the file it is, if the text before it or its first line says so
	text string
}

// newShell marks blocks that are pasted into a shell of their own.
const newShell = "in another shell"

// fileName is a line that names the file which follows.
var fileName = regexp.MustCompile("^(?:`([a-zA-Z.-]+\\.(?:ya?ml|json))`:|# ([a-zA-Z.-]+\\.ya?ml))$")

// blocksOf returns the blocks of a page in their order.
func blocksOf(page, text string) (all []block) {
	var open *block
	named := "" // by the last line of the text that is not empty
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		kind, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			open = &block{page: page, line: n, kind: kind, name: named}
		case fence:
			if m := fileName.FindStringSubmatch(strings.SplitN(open.text, "\n", 2)[0]); m != nil && open.name == "" {
				open.name = m[1] + m[2]
			}
			all, open, named = append(all, *open), nil, ""
		case open != nil:
			open.text += line + "\n"
		case strings.TrimSpace(line) != "":
			named = ""
			if m := fileName.FindStringSubmatch(line); m != nil {
				named = m[1] + m[2]
			}
		}
	}
	return all
}

// scripts are the commands of a page, one script for each shell. They end with the first
// command that fails, and print each before it runs.
func scripts(blocks []block) (all []string) {
	for _, b := range blocks {
		if b.kind != "sh" {
			continue
		}
		if len(all) == 0 || strings.Contains(b.text, newShell) {
			all = append(all, "set -e -o pipefail\n")
		}
		all[len(all)-1] += "set -v\n" + b.text + "set +v\n"
	}
	return all
}

// isSettings reports whether a block is a part of a server's settings.
func (b block) isSettings() bool { return path.Base(b.name) == "acrux.yaml" }

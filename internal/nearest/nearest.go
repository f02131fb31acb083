// Package nearest finds the word that somebody meant who mistyped it.
package nearest

import "strings"

// Bounds of the search for a nearest word.
const (
	maxWord  = 40 // bytes of a word that somebody may have mistyped
	maxWords = 500
)

// Word is the word that differs least from a wrong one, or empty if all differ much.
func Word(wrong string, words []string) string {
	best, least := "", min(max((len(wrong)+1)/3, 1), 3)+1
	if len(wrong) > maxWord {
		return ""
	}
	for _, word := range words[:min(len(words), maxWords)] {
		if len(word) > maxWord || len(word) == 0 || max(len(word)-len(wrong), len(wrong)-len(word)) >= least {
			continue
		}
		away := distance(strings.ToLower(wrong), strings.ToLower(word))
		if away < least && away < len(word) {
			best, least = word, away
		}
	}
	return best
}

// distance is how many letters have to be added, removed, replaced or swapped with
// their neighbour to make one word of another.
func distance(a, b string) int {
	var rows [3][2*maxWord + 1]int // lower case can be longer
	if len(a) > 2*maxWord || len(b) > 2*maxWord {
		return 2 * maxWord
	}
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

package secret

import "strings"

// maxWords bounds how many words of one secret are masked.
const maxWords = 200

// apart are the signs at which shells, and lists of variables, take a text apart.
const apart = " \t\r\n;|&<>()$`,"

// quotes are the signs that a shell takes out of a text.
var quotes = strings.NewReplacer(`"`, "", "'", "", `\`, "")

// words are the pieces in which a secret appears that went through a shell without quotes:
// with and without those that are part of it. The lines around a key in PEM are no secret,
// and their words are in many texts.
func words(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "-----") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(apart, r) }) {
			if len(found) >= maxWords {
				return found
			}
			found = append(found, word, quotes.Replace(word))
		}
	}
	return found
}

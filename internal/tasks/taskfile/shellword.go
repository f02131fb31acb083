package taskfile

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// Azure's runner joins a step's properties by blanks and gives the line to a shell. A value
// with a blank, an operator or an odd quote falls apart there: a part of it becomes the
// image, an option, or a command on the agent. Here data stays in one piece. What an author
// has quoted for the shell, and whatever else is one word to it, means what it means there.

// Word is data of the step as one word of a shell's line.
func (s *Step) Word(text string) string {
	if plainShellWord.MatchString(text) || isOneWord(text, s.inserted) {
		return text
	}
	return shellQuote(unwrap(text, s.inserted))
}

// Altered names the properties of a step that mean something else here than to Azure's
// runner, whose shell takes their values apart: "workingDirectory", "the variable NAME".
func (s *Step) Altered() []string {
	var names []string
	for _, o := range s.altered() {
		names = append(names, o.title())
	}
	return names
}

func (s *Step) altered() []option {
	var found []option
	for _, o := range s.options("") {
		if o.key != "" && s.Word(o.value) != o.value {
			found = append(found, o)
		}
	}
	return found
}

// title names the property without its value, which may be secret.
func (o option) title() string {
	if o.name != "--env" {
		return string(o.key)
	}
	name, _, _ := strings.Cut(o.value, "=")
	return "the variable " + strings.Trim(name, quoteSigns)
}

// isOneWord reports whether a shell reads text as one word and loses nothing of it but the
// quotes that the author has put there for the shell. inserted is what templates have put
// into the file: nothing in that is a variable or a command.
func isOneWord(text string, inserted []string) bool {
	if isBracketed(valueOf(text)) {
		return false
	}
	word := parseWord(text)
	if word == nil {
		return false
	}
	foreign := slices.ContainsFunc(inserted, func(part string) bool {
		return strings.ContainsAny(part, "$`") && strings.Contains(text, part)
	})
	r := wordReader{text: text, foreign: foreign}
	return r.parts(word.Parts)
}

// valueOf is the value of NAME=VALUE, or all of a text that is none.
func valueOf(text string) string {
	if name, value, ok := strings.Cut(text, "="); ok && !strings.ContainsAny(name, quoteSigns) {
		return value
	}
	return text
}

// isBracketed recognises JSON and its like, where quotes belong to the data.
func isBracketed(value string) bool {
	value = strings.TrimSpace(value)
	return strings.ContainsAny(value, "\\\"'$`") &&
		(strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") ||
			strings.HasPrefix(value, "[") && strings.HasSuffix(value, "]"))
}

// before stands in front of a text that is parsed, so that NAME=VALUE is an argument.
const before = ": "

// parseWord is the one word that a text is to a shell, or nil.
func parseWord(text string) *syntax.Word {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(before+text), "")
	if err != nil || len(file.Stmts) != 1 {
		return nil
	}
	statement := file.Stmts[0]
	call, simple := statement.Cmd.(*syntax.CallExpr)
	if !simple || len(call.Args) != 2 || len(statement.Redirs) > 0 || statement.Background {
		return nil
	}
	word := call.Args[1]
	if word.Pos().Offset() != uint(len(before)) || word.End().Offset() != uint(len(before)+len(text)) {
		return nil // a comment, or blanks around it
	}
	return word
}

// wordReader looks at the parts of a word for what would be lost.
type wordReader struct {
	text    string
	foreign bool // nothing in the text may be expanded
	quoted  bool // the part before was in quotes
}

func (r *wordReader) parts(parts []syntax.WordPart) bool {
	for _, part := range parts {
		quoted := false
		switch part := part.(type) {
		case *syntax.Lit:
			if !escapes(part.Value) {
				return false
			}
		case *syntax.SglQuoted:
			quoted = true
		case *syntax.DblQuoted:
			quoted = true
			if r.foreign && expands(part) {
				return false
			}
		default:
			if r.foreign {
				return false
			}
		}
		if quoted && !r.quoted && !r.opens(part.Pos()) {
			return false
		}
		r.quoted = quoted
	}
	return true
}

// opens reports whether a quote can be meant to begin there: not within a word, as in it's.
func (r *wordReader) opens(at syntax.Pos) bool {
	last, _ := utf8.DecodeLastRuneInString(r.text[:at.Offset()-uint(len(before))])
	return !unicode.IsLetter(last) && !unicode.IsDigit(last)
}

// expands reports whether something in double quotes is a variable or a command.
func expands(quoted *syntax.DblQuoted) bool {
	return slices.ContainsFunc(quoted.Parts, func(part syntax.WordPart) bool {
		_, literal := part.(*syntax.Lit)
		return !literal
	})
}

// escapes reports whether all backslashes outside of quotes stand before a sign that needs
// one: C:\new has none of these.
func escapes(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if i == len(text) || !strings.ContainsRune(" \t\"'`$\\;&|<>()*?[]{}#~!=%", rune(text[i])) {
			return false
		}
	}
	return true
}

// unwrap takes off the quotes around a value that are of no use, since something in it ends
// them too early.
func unwrap(text string, inserted []string) string {
	value := valueOf(text)
	name := strings.TrimSuffix(text, value)
	if len(value) < 2 || value[0] != value[len(value)-1] || !strings.Contains(quoteSigns, value[:1]) {
		return text
	}
	inner := value[1 : len(value)-1]
	foreign := slices.ContainsFunc(inserted, func(part string) bool { return strings.Contains(inner, part) })
	if !foreign && strings.Contains(inner, value[:1]) {
		return text
	}
	return name + inner
}

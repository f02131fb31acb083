package taskfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

// aliasVersion is the first version with aliases. Versions are compared as text.
const aliasVersion = "v1.1.0"

const byteOrderMark = "\ufeff"

// What clients put in front of a file that they send without a context, task-file.md 13.2: the
// Azure CLI the first, ours the second, which no author writes.
const (
	clientLine = "version: v1.1.0\n"
	ownLine    = "version: v1.1.0 # put in front by the client\n"
)

// Sent is what a client sends of a file without a context. Such a file has aliases, whatever it
// says, so a line that asks for them is put in front where that is needed.
func Sent(file []byte) []byte {
	if AliasMode(file) && !bytes.HasPrefix(file, []byte(clientLine)) {
		return file
	}
	return append([]byte(ownLine), file...)
}

// IsShifted reports whether lines are counted in a file with a line of the client's in front,
// which cannot be told from the author's.
func IsShifted(file []byte) bool {
	text, asked := received(file)
	return !asked && bytes.HasPrefix(text, []byte(clientLine))
}

// AliasMode reports whether a task file asks for aliases, before it can be read as a whole.
func AliasMode(file []byte) bool {
	file, asked := received(file)
	text, _ := dropComments(strings.TrimPrefix(string(file), byteOrderMark))
	return asked || findVersion(text) >= aliasVersion
}

// received is a file as its author wrote it, in UTF-8, and whether the client has asked for
// aliases. The line that the Azure CLI puts in front of every file is taken away where it would
// be in the way of the file's own beginning, or make its version one too many.
func received(file []byte) (text []byte, asked bool) {
	text, asked = bytes.CutPrefix(file, []byte(ownLine))
	if rest, ok := bytes.CutPrefix(file, []byte(clientLine)); ok && isWhole(string(rest)) {
		text, asked = rest, true
	}
	return inUTF8(text), asked
}

// isWhole reports whether a text can have nothing in front of it.
func isWhole(text string) bool {
	if strings.HasPrefix(text, byteOrderMark) || isUTF16([]byte(text)) {
		return true
	}
	text, _ = dropComments(text)
	begin := strings.TrimLeft(text, " \t\r\n")
	switch {
	case strings.HasPrefix(begin, "---"), strings.HasPrefix(begin, "%"):
		return true
	case strings.HasPrefix(begin, "{") && !strings.HasPrefix(begin, "{{"):
		return true
	}
	return findVersion(text) != ""
}

// The byte order marks of UTF-16, YAML 1.2.2, 5.2.
var (
	littleEndian = []byte{0xff, 0xfe}
	bigEndian    = []byte{0xfe, 0xff}
)

func isUTF16(file []byte) bool {
	return bytes.HasPrefix(file, littleEndian) || bytes.HasPrefix(file, bigEndian)
}

// inUTF8 is a file in UTF-8, from UTF-16 where a byte order mark says so: YAML may be either, and
// some editors and shells write the latter.
func inUTF8(file []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case !isUTF16(file):
		return file
	case bytes.HasPrefix(file, bigEndian):
		order = binary.BigEndian
	}
	var units []uint16
	for file = file[2:]; len(file) > 1; file = file[2:] {
		units = append(units, order.Uint16(file))
	}
	return []byte(string(utf16.Decode(units)))
}

// findVersion returns the version that a template says, as YAML reads it: the first, if there are
// several. Where the template is no YAML yet, it is that of the first line that begins with the
// key.
func findVersion(text string) string {
	if !strings.Contains(text, "version") || checkSize(text) != nil {
		return ""
	}
	root := templateRoot(text)
	if value := firstOf(root, "version"); value != nil {
		return value.Value
	}
	if root != nil && root.Style&yaml.FlowStyle != 0 {
		return "" // a line in there may be anything
	}
	return versionLine(text)
}

// templateRoot is the mapping that a template consists of; nil if it is no YAML, also not with
// words in place of its actions.
func templateRoot(text string) *yaml.Node {
	if root := rootOf(text); root != nil {
		return root
	}
	return rootOf(action.ReplaceAllString(text, "action"))
}

// rootOf is the mapping that a text consists of, or nil. What follows it is a document as well, or
// it was no end.
func rootOf(text string) *yaml.Node {
	var document, next yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(text))
	if decoder.Decode(&document) != nil || len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	if err := decoder.Decode(&next); err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return document.Content[0]
}

var action = regexp.MustCompile(`\{\{.*?\}\}`)

// firstOf is the value of the first key of a name; nil if a mapping has none.
func firstOf(root *yaml.Node, name string) *yaml.Node {
	for i := 0; root != nil && i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == name {
			return resolve(root.Content[i+1])
		}
	}
	return nil
}

// versionLine returns the value on the first line that begins with the key "version", quoted or
// not. It looks at raw lines, as Azure's runner does.
func versionLine(text string) string {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimLeft(line, `'"`), "version") {
			continue
		}
		key, value, found := strings.Cut(line, ":")
		if found && strings.Trim(key, " \t'\"") == "version" {
			return strings.Trim(strings.TrimSpace(value), `'"`)
		}
	}
	return ""
}

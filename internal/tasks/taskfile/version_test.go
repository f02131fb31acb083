package taskfile

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf16Text is a text as some editors and shells write it.
func utf16Text(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

// The version is what YAML reads, whatever the file looks like; where a template is no YAML, it
// is on a line of its own.
func TestVersionAsYAML(t *testing.T) {
	const steps = "steps:\n- cmd: bash echo $ID\n"
	for name, file := range map[string]string{
		"a line":              "version: v1.1.0\n" + steps,
		"a line at the end":   steps + "version: v1.1.0",
		"comments and blanks": "# a\n\n  # b\nversion: v1.1.0\n" + steps,
		"a document":          "---\nversion: v1.1.0\n" + steps,
		"a directive":         "%YAML 1.1\n---\nversion: v1.1.0\n" + steps,
		"a comment, document": "# c\n--- # d\nversion: v1.1.0\n" + steps + "...\n",
		"a mark":              "\ufeffversion: v1.1.0\n" + steps,
		"a mark, a comment":   "\ufeff# a\nversion: v1.1.0\n" + steps,
		"a mark, document":    "\ufeff---\nversion: v1.1.0\n" + steps,
		"CR LF":               strings.ReplaceAll("version: v1.1.0\n"+steps, "\n", "\r\n"),
		"quotes":              "\"version\": 'v1.1.0' # newest\n" + steps,
		"a complex key":       "? version\n: v1.1.0\n" + steps,
		"complex keys":        "? \"version\"\n:   v1.1.0\n? steps\n: - cmd: bash echo $ID\n",
		"the next line":       "version:\n  v1.1.0\n" + steps,
		"a folded text":       "version: >-\n  v1.1.0\n" + steps,
		"a tag":               "version: !!str v1.1.0\n" + steps,
		"an anchor":           "version: &v v1.1.0\n" + steps,
		"an alias":            "x-v: &v v1.1.0\nversion: *v\n" + steps,
		"indented":            "  version: v1.1.0\n  steps:\n  - cmd: bash echo $ID\n",
		"JSON":                `{"version": "v1.1.0", "steps": [{"cmd": "bash echo $ID"}]}`,
		"JSON on lines":       "{\n\"steps\": [{\"cmd\":\n\"bash echo $ID\"}],\n\t\"version\":\n\t\"v1.1.0\"\n}\n",
		"JSON with a mark":    "\ufeff" + `{"steps": [{"cmd": "bash echo $ID"}], "version": "v1.1.0"}`,
		"flow style":          "{version: v1.1.0, steps: [{cmd: bash echo $ID}]}",
		"a template's action": "{version: v1.1.0, steps: [{cmd: bash echo $ID {{.Run.OS}}}]}",
		"UTF-16, little":      utf16Text(binary.LittleEndian, "version: v1.1.0\n"+steps),
		"UTF-16, big":         utf16Text(binary.BigEndian, "version: v1.1.0\n"+steps),
		"no YAML yet":         "{{if true}}\nversion: v1.1.0\n{{end}}\n" + steps,
	} {
		sent := map[string]string{"": file, "by ours": string(Sent([]byte(file))), "by the Azure CLI": clientLine + file}
		for by, file := range sent {
			plan, err := Render(t.Context(), Input{Name: "f", File: []byte(file), Run: standardRun()})
			if err != nil {
				t.Errorf("%s %s: %v", name, by, err)
				continue
			}
			if !plan.AliasMode || !AliasMode([]byte(file)) || len(plan.Steps) != 1 || !strings.Contains(plan.Steps[0].Cmd, "echo cf10") {
				t.Errorf("%s %s: aliases %v, steps %+v", name, by, plan.AliasMode, plan.Steps)
			}
		}
	}
}

// A file that does not ask for aliases gets none, unless a client sends it.
func TestVersionWithoutAliases(t *testing.T) {
	for name, file := range map[string]string{
		"none":              "steps:\n- cmd: bash echo $ID\n",
		"an older one":      "version: v1.0.0\nsteps:\n- cmd: bash echo $ID\n",
		"JSON, none":        `{"steps": [{"cmd": "bash echo $ID"}]}`,
		"JSON, elsewhere":   "{\"steps\": [{\"cmd\": \"bash echo $ID\"}], \"x-more\": {\n\"version\": \"v1.1.0\"}}",
		"JSON, older":       `{"version": "v1.0.0", "steps": [{"cmd": "bash echo $ID"}]}`,
		"a document":        "---\nsteps:\n- cmd: bash echo $ID\n",
		"a mark":            "\ufeffsteps:\n- cmd: bash echo $ID\n",
		"complex key":       "? version\n: v1.0.0\n? steps\n: - cmd: bash echo $ID\n",
		"a key of that end": "x-version: v1.1.0\nsteps:\n- cmd: bash echo $ID\n",
	} {
		for by, aliases := range map[string]bool{"": false, ownLine: true, clientLine: true} {
			plan, err := Render(t.Context(), Input{Name: "f", File: []byte(by + file), Run: standardRun()})
			if err != nil {
				t.Errorf("%s behind %q: %v", name, by, err)
				continue
			}
			if plan.AliasMode != aliases || AliasMode([]byte(by+file)) != aliases || len(plan.Steps) != 1 {
				t.Errorf("%s behind %q: aliases %v, %d steps", name, by, plan.AliasMode, len(plan.Steps))
			}
		}
	}
}

// Places are those of the author's file, whoever sends it.
func TestPlacesOfSentFiles(t *testing.T) {
	const wrong = "steps:\n- cmd: x\n- cmd: y\n- when: [z]\n" // the last one does nothing
	for name, test := range map[string]struct {
		file string
		line int
	}{
		"with a version":        {"version: v1.1.0\n" + wrong, 5},
		"with an older version": {"version: v1.0.0\n" + wrong, 5},
		"without":               {wrong, 4},
		"with a mark":           {"\ufeff# a\n" + wrong, 5},
		"a document":            {"---\n" + wrong, 5},
	} {
		for by, sent := range map[string]string{"itself": test.file, "ours": string(Sent([]byte(test.file))), "the Azure CLI": clientLine + test.file} {
			_, err := Render(t.Context(), Input{Name: "f", File: []byte(sent), Run: standardRun()})
			var placed *Error
			if !errors.As(err, &placed) {
				t.Fatalf("%s: %v", name, err)
			}
			line := test.line
			if IsShifted([]byte(sent)) && by != "itself" {
				line++ // said to be so
			}
			if placed.Line != line {
				t.Errorf("%s by %s: line %d, want %d", name, by, placed.Line, line)
			}
		}
	}
	if IsShifted(Sent([]byte(wrong))) || !IsShifted([]byte(clientLine+wrong)) {
		t.Error("it is not known who has put a line in front")
	}
}

// Aliases may be written in another form than on lines of their own.
func TestAliasesInJSON(t *testing.T) {
	for name, file := range map[string]string{
		"JSON":        `{"version": "v1.1.0", "alias": {"values": {"img": "repo/{{.Run.OS}}"}}, "steps": [{"cmd": "$img:1 echo $ID"}]}`,
		"flow style":  "{version: v1.1.0, alias: {values: {img: 'repo/{{.Run.OS}}'}}, steps: [{cmd: '$img:1 echo $ID'}]}",
		"complex key": "? version\n: v1.1.0\n? alias\n: values:\n    img: repo/linux\n? steps\n: - cmd: $img:1 echo $ID\n",
		"quotes":      "\"version\": v1.1.0\n\"alias\":\n  values: {img: repo/linux}\nsteps:\n- cmd: $img:1 echo $ID\n",
	} {
		in := Input{Name: "f", File: []byte(file), Run: standardRun()}
		plan, err := Render(t.Context(), in)
		if err != nil || len(plan.Steps) != 1 || plan.Steps[0].Cmd != "repo/linux:1 echo cf10" {
			t.Errorf("%s: %+v, %v", name, plan, err)
		}
		if found, err := Lint(t.Context(), in); err != nil || len(found) > 0 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

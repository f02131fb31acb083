package taskfile

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	yaml "go.yaml.in/yaml/v3"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("mem:task-file.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("mem:task-file.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// beyondSchema are wrong examples that look right key by key.
var beyondSchema = strings.Fields(`alias-15 alias-16 alias-17 alias-18 alias-19 env-03 env-04 env-07 secret-04 secret-05
	step-04 step-05 step-06 volume-07 volume-08 volume-09 volume-11 when-06 when-07 when-08 when-09 when-10`)

// The schema takes every valid example without unknown keys, and sees each wrong key
// and type.
func TestSchema(t *testing.T) {
	compiled := compileSchema(t)
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for _, path := range paths {
		name := strings.Join(strings.SplitN(filepath.Base(path), "-", 3)[:2], "-")
		t.Run(name, func(t *testing.T) {
			ex := readExample(t, path)
			value, ok := documentOf(t, ex)
			if !ok {
				return // no YAML, which is no question for a schema
			}
			err := compiled.Validate(value)
			switch refused := ex.expect["expect"][0] == "error" || hasUnknownKeys(t, ex); {
			case !refused && err != nil:
				t.Errorf("a valid file is refused: %v", err)
			case refused && err == nil && !slices.Contains(beyondSchema, name):
				t.Error("nothing was seen")
			case refused && err != nil && slices.Contains(beyondSchema, name):
				t.Errorf("the schema sees it after all: %v", err)
			case refused:
				wrong++
			}
		})
	}
	if wrong < 40 {
		t.Errorf("only %d wrong examples were looked at", wrong)
	}
}

// documentOf is a rendered example with its aliases, as an editor's parser sees it.
func documentOf(t *testing.T, ex *example) (value any, ok bool) {
	t.Helper()
	ex.in.lint = true
	r, _ := read(t.Context(), &ex.in) // how far it comes is enough
	if r.rendered.text == "" && r.block.text == "" && len(r.text.text) > 0 {
		return nil, false
	}
	whole := map[string]any{}
	for _, part := range []sourced{r.block, r.rendered} {
		var members map[string]any
		if err := yaml.Unmarshal([]byte(part.text), &members); err != nil && !duplicateOnly(err) {
			return nil, false
		}
		maps.Copy(whole, members)
	}
	text, err := json.Marshal(stringKeys(whole)) // dates become texts
	if err != nil {
		t.Fatal(err)
	}
	if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return value, true
}

func duplicateOnly(err error) bool { return strings.Contains(err.Error(), "already defined") }

func hasUnknownKeys(t *testing.T, ex *example) bool {
	t.Helper()
	problems, err := Lint(t.Context(), ex.in)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(problems, func(p Problem) bool { return strings.HasPrefix(p.Message, "there is no key") })
}

// What is not rendered yet is taken by editors as well, and typing errors are not.
func TestSchemaOfUnrenderedFiles(t *testing.T) {
	compiled := compileSchema(t)
	tests := []struct {
		name, in string
		valid    bool
	}{
		{"a template for a number", "steps: [{cmd: a, timeout: '{{.Values.t}}'}]", true},
		{"an alias for a switch", "steps: [{cmd: a, keep: $keep}]", true},
		{"no steps", "steps:", true},
		{"yes", "steps: [{cmd: a, keep: yes}]", true},
		{"a network as a mapping", "steps: [{cmd: a, network: {name: n}}]", true},
		{"x- keys", "x-a: {b: c}\nsteps: []", true},
		{"a text for a number", "steps: [{cmd: a, timeout: '60'}]", false},
		{"a key of a mount", "steps: [{cmd: a, volumeMounts: [{name: n, path: /x}]}]", false},
		{"a key of aliases", "alias: {value: {}}", false},
		{"a network with another key", "steps: [{cmd: a, network: {nam: n}}]", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var value any
			if err := yaml.Unmarshal([]byte(tt.in), &value); err != nil {
				t.Fatal(err)
			}
			if err := compiled.Validate(value); (err == nil) != tt.valid {
				t.Errorf("valid: %v, %v", tt.valid, err)
			}
		})
	}
}

package taskfile

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"gopkg.in/yaml.v2"
)

// Run holds the values of a run that templates and aliases see as .Run. The
// service and the runner fill it; all are plain texts.
type Run struct {
	ID           string
	Commit       string
	Branch       string
	Repository   string
	GitTag       string
	TriggeredBy  string // "Manual", "Commit", "Pull Request", "Image Update" or "Timer"
	Registry     string // login server
	RegistryName string
	Date         string // yyyyMMdd-HHmmssz, UTC
	SharedVolume string
	OS           string
	OSVersion    string
	Architecture string
	TaskName     string // empty for quick runs
}

// DateFormat is the layout of Run.Date; the time must be in UTC.
const DateFormat = "20060102-150405z"

// Value is one set value: always text, and stronger than the values file.
type Value struct{ Name, Value string }

// ParseSet reads the text of one --set option.
func ParseSet(text string) (Value, error) {
	name, value, found := strings.Cut(text, "=")
	switch {
	case !found:
		return Value{}, errors.New("failed to parse --set data; invalid format, no = assignment found")
	case name == "":
		return Value{}, errors.New("failed to parse --set data; expected a key=val format")
	}
	return Value{name, value}, nil
}

// templateData makes what a template sees: maps throughout, so that a missing
// name is empty and not an error.
func templateData(run Run, values map[string]any) (map[string]any, error) {
	encoded, err := json.Marshal(run)
	if err != nil {
		return nil, err
	}
	var runMap map[string]any
	if err := json.Unmarshal(encoded, &runMap); err != nil {
		return nil, err
	}
	runJSON, err := json.Marshal(runMap)
	if err != nil {
		return nil, err
	}
	valuesJSON, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("failed to serialize Values: %w", err)
	}
	return map[string]any{
		"Run":        runMap,
		"Build":      map[string]any{"ID": run.ID},
		"Values":     values,
		"Secrets":    map[string]any{},
		"RunJSON":    shellQuote(string(runJSON)),
		"ValuesJSON": shellQuote(string(valuesJSON)),
	}, nil
}

// loadValues merges the values file and the set values.
func loadValues(file []byte, set []Value) (map[string]any, error) {
	values := map[string]any{}
	var parsed map[string]any
	if err := yaml.Unmarshal(file, &parsed); err != nil {
		return nil, err
	}
	for name, value := range parsed {
		values[name] = stringKeys(value)
	}
	for _, value := range set {
		if value.Name == "" {
			return nil, errors.New("failed to parse --set data; expected a key=val format")
		}
		values[value.Name] = value.Value
	}
	return values, nil
}

// stringKeys makes nested mappings usable in templates and in JSON.
func stringKeys(value any) any {
	switch value := value.(type) {
	case map[any]any:
		named := make(map[string]any, len(value))
		for key, v := range value {
			named[fmt.Sprint(key)] = stringKeys(v)
		}
		return named
	case []any:
		for i := range value {
			value[i] = stringKeys(value[i])
		}
	}
	return value
}

var plainShellWord = regexp.MustCompile(`^[A-Za-z0-9_^@=+%,:./-]+$`)

// shellQuote quotes text as one word of a shell, if it needs it.
func shellQuote(text string) string {
	if plainShellWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'"'"'`) + "'"
}

// functions are sprig's, without those that would look at this machine or its network.
func functions() template.FuncMap {
	funcs := sprig.TxtFuncMap()
	funcs["env"] = func(string) string { return "" }
	funcs["expandenv"] = func(string) string { return "" }
	funcs["getHostByName"] = func(string) (string, error) {
		return "", errors.New("getHostByName is not available in a task file")
	}
	funcs["b64enc"] = func(v any) string {
		if v == nil {
			return ""
		}
		return base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(v)))
	}
	return funcs
}

// execute renders text as one template. A template that makes nothing out of
// something is an error.
func execute(name, text string, data map[string]any) (string, error) {
	rendered, err := expand(name, sourced{text: text}, data)
	return rendered.text, err
}

// expand is execute for a text that keeps its places.
func expand(name string, text sourced, data map[string]any) (sourced, error) {
	if err := checkActions(text.text); err != nil {
		return sourced{}, err
	}
	meter := newMeter()
	set, err := template.New(name).Option("missingkey=zero").Funcs(meter.wrap(functions())).Parse(text.text)
	if err != nil {
		return sourced{}, text.failed(fmt.Errorf("error while rendering templates: failed to parse template: %s. Err: %w", name, err), err)
	}
	out := limitedBuffer{literals: weave(set)}
	if err := set.Execute(&out, data); err != nil {
		return sourced{}, text.failed(fmt.Errorf("error while rendering templates: failed to execute template: %s. Err: %w", name, err), err)
	}
	text.inserted = append(text.inserted[:len(text.inserted):len(text.inserted)], out.inserted...)
	rendered := dropNoValue(text.become(out.String(), out.from))
	if rendered.text == "" && text.text != "" {
		return sourced{}, errors.New("rendered template was empty")
	}
	return rendered, nil
}

// dropNoValue removes what a template prints for a name that is not there.
func dropNoValue(text sourced) sourced {
	const noValue = "<no value>"
	if !strings.Contains(text.text, noValue) {
		return text
	}
	var kept strings.Builder
	var from origin
	for at := 0; ; {
		from.mark(kept.Len(), at, false)
		part, _, found := strings.Cut(text.text[at:], noValue)
		kept.WriteString(part)
		if !found {
			return text.become(kept.String(), from)
		}
		at += len(part) + len(noValue)
	}
}

// templatePlace is how errors of templates name a place: template: NAME:LINE:BYTE.
var templatePlace = regexp.MustCompile(`template: [^\n]*?:(\d+)(?::(\d+))?: `)

// failed adds to err the place that an error of a template names.
func (s sourced) failed(err, named error) error {
	found := templatePlace.FindStringSubmatch(named.Error())
	if found == nil {
		return err
	}
	line, _ := strconv.Atoi(found[1]) // digits
	column, _ := strconv.Atoi(found[2])
	at := 0
	for range line - 1 {
		at += strings.IndexByte(s.text[at:], '\n') + 1
	}
	return &placedError{offset: s.offset(at + column), err: err}
}

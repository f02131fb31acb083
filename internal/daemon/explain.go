package daemon

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/nearest"
)

// checkDomain refuses another domain than the data directory was made with: all names and
// what clients trust would change by one slip.
func (c *Config) checkDomain() error {
	before, err := ReadPublished(c.Data)
	if err != nil || before.Domain == c.Domain || c.ChangeDomain {
		return nil // a first start, or one that cannot know
	}
	return problem.New(problem.Conflict, "OtherDomain", "The data directory %s was made with the domain %s, not %s; "+
		"with another one all registries and hosts have other names, and clients must be set up again.", c.Data, before.Domain, c.Domain).
		Hint("acrux serve --data %s --domain %s", c.Data, before.Domain).
		Hint("or, if it is meant: acrux serve --data %s --domain %s --change-domain", c.Data, c.Domain)
}

// The decoder's words for what is wrong in a document.
var (
	unknownKey = regexp.MustCompile(`^line (\d+): field (.+) not found in type (\S+)$`)
	wrongType  = regexp.MustCompile("^line (\\d+): cannot unmarshal (!!\\w+)(?: `(.*)`)? into (\\S+)$")
)

// explainConfig says what is wrong with a configuration in the words of its author.
func explainConfig(file string, err error) error {
	var types *yaml.TypeError
	if !errors.As(err, &types) {
		return problem.New(problem.Invalid, "InvalidConfiguration", "%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var told []string
	for _, text := range types.Errors {
		told = append(told, explainKey(text))
	}
	return problem.New(problem.Invalid, "InvalidConfiguration", "%s: %s", file, strings.Join(told, "; ")).
		Hint("docs/reference/configuration.md has all keys; acrux config show prints what is set")
}

func explainKey(text string) string {
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		told := fmt.Sprintf("line %s: there is no key %s", m[1], m[2])
		keys := configKeys()
		for section, names := range keys {
			if section != m[3] && slices.Contains(names, m[2]) && sectionOf(section) != "" {
				return told + fmt.Sprintf(" here; it belongs below %s:", sectionOf(section))
			}
		}
		if right := nearest.Word(m[2], keys[m[3]]); right != "" {
			return told + fmt.Sprintf("; did you mean %s?", right)
		}
		return told
	}
	if m := wrongType.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("line %s: %s", m[1], wanted(m[4], m[3]))
	}
	return text
}

// wanted says what a value must be, by the type that it is read into.
func wanted(kind, value string) string {
	switch {
	case kind == "[]string" && value != "":
		return fmt.Sprintf("this is a list: [%s]", value)
	case strings.HasPrefix(kind, "[]"):
		return "this is a list: [A, B]"
	case strings.HasPrefix(kind, "map["):
		return "these are pairs: {NAME: VALUE}"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "float"):
		return fmt.Sprintf("%q is not a number", value)
	case kind == "bool":
		return fmt.Sprintf("%q is neither true nor false", value)
	case kind == "time.Duration":
		return fmt.Sprintf("%q is not a time such as 30s, 5m or 720h", value)
	case strings.HasPrefix(kind, "daemon."):
		return fmt.Sprintf("these are keys below this one: %s", strings.Join(configKeys()[kind], ", "))
	}
	return "this is a text"
}

// configKeys are the keys of each section, by the name of its type.
func configKeys() map[string][]string {
	found := map[string][]string{}
	collectKeys(reflect.TypeFor[Config](), found)
	return found
}

func collectKeys(section reflect.Type, found map[string][]string) {
	for i := range section.NumField() {
		field := section.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		found[section.String()] = append(found[section.String()], name)
		if field.Type.Kind() == reflect.Struct && field.Type.PkgPath() == section.PkgPath() {
			collectKeys(field.Type, found)
		}
	}
}

// sectionOf is the key of the section that a type is; empty for the whole.
func sectionOf(kind string) string {
	config := reflect.TypeFor[Config]()
	for i := range config.NumField() {
		if field := config.Field(i); field.Type.String() == kind {
			return field.Tag.Get("yaml")
		}
	}
	return ""
}

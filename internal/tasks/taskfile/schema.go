package taskfile

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// Schema is the JSON Schema (draft 2020-12) of task files, made from the table of keys.
// It is for editors: it refuses unknown keys, which a server ignores, and it takes
// templates and aliases where numbers and switches belong, as a file has them before
// it is rendered.
func Schema() ([]byte, error) {
	schema := schemaOfMapping(keys)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "ACR Tasks task file"
	schema["type"] = []string{"object", "null"} // a file may be empty
	return json.MarshalIndent(schema, "", "  ")
}

type schema = map[string]any

// later matches what becomes something else before YAML is read.
const later = `\{\{|^\$`

func schemaOfMapping(keys []Key) schema {
	properties, required := schema{}, []string{}
	for _, key := range keys {
		properties[key.Name] = schemaOf(key)
		if key.Required {
			required = append(required, key.Name)
		}
	}
	object := schema{"type": "object", "properties": properties, "additionalProperties": false, "patternProperties": schema{"^x-": true}}
	if len(required) > 0 {
		object["required"] = required
	}
	if keyNamed(keys, string(KindCmd)) != nil {
		properties["cmd"].(schema)["minLength"] = 1
		properties["build"].(schema)["minLength"] = 1
		properties["push"].(schema)["minItems"] = 1
		object["oneOf"] = []schema{{"required": []Kind{KindCmd}}, {"required": []Kind{KindBuild}}, {"required": []Kind{KindPush}}}
	}
	return object
}

func schemaOf(key Key) schema {
	described := schemaOfType(key)
	described["description"] = key.About + key.effect()
	return described
}

// effect says for which kinds of step the key does something, in brackets.
func (k *Key) effect() string {
	var names []string
	for _, kind := range []Kind{KindCmd, KindBuild, KindPush} {
		if k.works(kind) {
			names = append(names, string(kind))
		}
	}
	if len(names) == 0 || k.Kinds == nil {
		return ""
	}
	return " (for " + strings.Join(names, " and ") + " only)"
}

func schemaOfType(key Key) schema {
	switch key.Type {
	case Number:
		number := schema{"type": []string{"number", "null"}}
		if key.min != nil {
			number["minimum"] = *key.min
		}
		return orLater(number)
	case Switch:
		return orLater(schema{"type": []string{"boolean", "null"}}, schema{"enum": []string{"yes", "no", "on", "off"}})
	case Texts:
		return listOf(textSchema(Key{}))
	case Numbers:
		return listOf(schema{"type": "number"})
	case TextMap:
		texts := schema{"type": "object", "additionalProperties": textSchema(Key{})}
		if key.form != "" {
			texts["propertyNames"], texts["minProperties"] = schema{"pattern": "^(" + key.form + ")$"}, 1
		}
		return texts
	case Mapping:
		return schemaOfMapping(key.Members)
	case Mappings:
		return listOf(schemaOfMapping(key.Members))
	case Named:
		return schema{"anyOf": []schema{textSchema(key), schemaOfMapping(key.Members)}}
	}
	return textSchema(key)
}

func listOf(items schema) schema { return schema{"type": []string{"array", "null"}, "items": items} }

func orLater(choices ...schema) schema {
	return schema{"anyOf": append(choices, schema{"type": "string", "pattern": later})}
}

// textSchema takes any scalar: a number is taken as it is written.
func textSchema(key Key) schema {
	text := schema{"type": []string{"string", "number", "boolean", "null"}}
	switch {
	case len(key.Words) > 0:
		return orLater(schema{"enum": key.Words}, schema{"type": "string", "pattern": "^(" + anyCase(key.Words) + ")?$"}, schema{"type": "null"})
	case key.form != "":
		text["pattern"] = "^(" + key.form + ")?$|" + later
	case key.Required:
		text["minLength"] = 1
	}
	return text
}

// anyCase is a pattern for words in small and capital letters.
func anyCase(words []string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteByte('|')
		}
		for _, r := range word {
			switch {
			case unicode.IsLetter(r):
				fmt.Fprintf(&b, "[%c%c]", unicode.ToLower(r), unicode.ToUpper(r))
			case r == '.':
				b.WriteString(`\.`)
			default:
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

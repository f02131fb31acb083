package taskfile

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/nearest"
)

// Type is what a key's value must be.
type Type string

// The types of values.
const (
	Text     Type = "text"
	Number   Type = "number"
	Switch   Type = "true or false"
	Texts    Type = "list of texts"
	Numbers  Type = "list of numbers"
	TextMap  Type = "mapping of texts"
	Mapping  Type = "mapping"
	Mappings Type = "list of mappings"
	Named    Type = "text, or mapping with a name" // the documentation calls it an object
)

// phrase is what a value must be, in a sentence.
func (t Type) phrase() string {
	if t == Switch {
		return string(t)
	}
	return "a " + string(t)
}

// Key is a key that a task file may have.
type Key struct {
	Name     string
	Type     Type
	About    string   // what it is for, for people
	Kinds    []Kind   // of steps where it has an effect; nil is all
	Words    []string // the values that are possible; nil is any
	Required bool
	Members  []Key // of a Mapping, or of each of Mappings

	form string   // pattern of a Text, or of the names of a TextMap
	min  *int     // of a Number
	was  []string // what people write instead
}

// keys are those of the document, then that of aliases, which YAML never sees.
var keys = append(keysOf(reflect.TypeFor[document]()), keysOf(reflect.TypeFor[aliasBlock]())...)

// Keys lists the keys of a task file: what parsing takes, what Lint knows, what the
// schema and the documentation say. It must not be changed.
func Keys() []Key { return keys }

func keysOf(shape reflect.Type) []Key {
	var found []Key
	for i := range shape.NumField() {
		field := shape.Field(i)
		if !field.IsExported() {
			continue
		}
		key := Key{Name: field.Tag.Get("yaml"), About: field.Tag.Get("about"), Words: strings.Fields(field.Tag.Get("words")), was: strings.Fields(field.Tag.Get("was")), form: field.Tag.Get("form")}
		key.Type, key.Members = typeOf(field.Type)
		if least, err := strconv.Atoi(field.Tag.Get("min")); err == nil {
			key.min = &least
		}
		key.Required = strings.Contains(key.About, "required")
		for _, kind := range strings.Fields(field.Tag.Get("kinds")) {
			key.Kinds = append(key.Kinds, Kind(kind))
		}
		found = append(found, key)
	}
	return found
}

func typeOf(shape reflect.Type) (Type, []Key) {
	if shape == reflect.TypeFor[networkName]() {
		return Named, []Key{{Name: "name", Type: Text, About: "name of the network"}}
	}
	switch shape.Kind() {
	case reflect.Pointer:
		return typeOf(shape.Elem())
	case reflect.Int:
		return Number, nil
	case reflect.Bool:
		return Switch, nil
	case reflect.Map:
		return TextMap, nil
	case reflect.Struct:
		return Mapping, keysOf(shape)
	case reflect.Slice:
		switch item, members := typeOf(shape.Elem()); item {
		case Mapping:
			return Mappings, members
		case Number:
			return Numbers, nil
		}
		return Texts, nil
	}
	return Text, nil
}

// works reports whether the key has an effect on a kind of step.
func (k *Key) works(kind Kind) bool { return k.Kinds == nil || slices.Contains(k.Kinds, kind) }

func keyNamed(keys []Key, name string) *Key {
	for i := range keys {
		if keys[i].Name == name {
			return &keys[i]
		}
	}
	return nil
}

// nearestKey is the key that somebody meant by a name that is none, or empty.
func nearestKey(keys []Key, name string) string {
	var names []string
	for _, key := range keys {
		if slices.ContainsFunc(key.was, func(was string) bool { return strings.EqualFold(was, name) }) {
			return key.Name
		}
		names = append(names, key.Name)
	}
	return nearest.Word(name, names)
}

package armapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// What a request says that its type has no member for is refused by name: nobody would act
// on it, and a client that reads success believes that somebody has. Clients of years to come
// have properties that are unknown today.

// wired is a type that reads its JSON itself, and tells which members that has.
type wired interface{ Wire() any }

// checkMembers refuses a body with a member that says something and has no place in v.
func checkMembers(body []byte, v any) error {
	var given any
	if err := json.Unmarshal(body, &given); err != nil {
		return badContent(err)
	}
	if path := foreign(given, reflect.TypeOf(v)); path != "" {
		return notKnown(strings.TrimPrefix(path, "."))
	}
	return nil
}

// foreign is the path of the first such member of a JSON value, or "". A value of another
// form than the type is a matter of who decodes it.
func foreign(value any, t reflect.Type) string {
	t = formOf(t)
	switch given := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if path, found := foreignMember(given[name], name, t); found {
				return "." + name + path
			}
		}
	case []any:
		for i, entry := range given {
			if t.Kind() != reflect.Slice {
				break
			}
			if path := foreign(entry, t.Elem()); path != "" {
				return fmt.Sprintf("[%d]%s", i, path)
			}
		}
	}
	return ""
}

// foreignMember is foreign for a member of a type: the path goes on after its name.
func foreignMember(value any, name string, t reflect.Type) (path string, found bool) {
	member, known := memberOf(t, name)
	if !known {
		return "", !hollow(value)
	}
	path = foreign(value, member)
	return path, path != ""
}

// hollow reports whether a value says nothing, however deep it is.
func hollow(value any) bool {
	if object, ok := value.(map[string]any); ok {
		value = without(object)
	}
	return saysNothing(value)
}

// formOf is what the JSON of a type looks like.
func formOf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if w, ok := reflect.New(t).Interface().(wired); ok {
		return reflect.TypeOf(w.Wire())
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return reflect.TypeFor[any]()
	}
	return t
}

// memberOf is the type of a member. What is no object, or any, has whatever is given: who
// decodes it knows.
func memberOf(t reflect.Type, name string) (member reflect.Type, known bool) {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), true
	case reflect.Struct:
		for _, field := range reflect.VisibleFields(t) {
			tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if tag != "" && tag != "-" && strings.EqualFold(tag, name) {
				return field.Type, true
			}
		}
		return nil, false
	}
	return reflect.TypeFor[any](), true
}

func notKnown(path string) error {
	return problem.New(problem.Unsupported, "NotImplemented",
		"The property '%s' is not available in this version of Acrux.", path).On(path)
}

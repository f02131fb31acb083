package armapi

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// What a PATCH asks for is done or refused by name, never ignored. What says nothing, or is
// as it was shown, may stand there: clients send whole resources back (az-wire, section 9.2),
// and what changes by itself may have done so since.

// envelope are the members of a resource around its properties that a PATCH may have.
var envelope = []string{"tags", "sku", "identity", "properties", "systemData", "etag"}

// own are properties that only the server sets.
var own = []string{"loginServer", "creationDate", "provisioningState", "lastUpdatedTime", "tenantId", "principalId",
	"clientId"}

// unheeded names a member of a change that is none of those that are done, and says something
// else than the resource that was shown.
func unheeded(change []byte, shown any, done ...string) error {
	before, err := object(shown)
	if err != nil {
		return err
	}
	var members map[string]any
	if err := json.Unmarshal(change, &members); err != nil {
		return badContent(err)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		known := slices.ContainsFunc(done, func(d string) bool { return strings.EqualFold(d, name) })
		if !known && !saysNothing(members[name]) && !same(members[name], before[name]) {
			return notHeeded(name)
		}
	}
	return nil
}

// without is an object without what says nothing.
func without(object map[string]any) map[string]any {
	kept := map[string]any{}
	for name, value := range object {
		if below, ok := value.(map[string]any); ok {
			value = without(below)
		}
		if !saysNothing(value) {
			kept[name] = value
		}
	}
	return kept
}

// undone names a property that a change gave another value and that has the old one still.
func undone(change map[string]any, before, after any) error {
	old, err := object(before)
	if err != nil {
		return err
	}
	now, err := object(after)
	if err != nil {
		return err
	}
	if path := stayed(change, old, now); path != "" {
		return notHeeded("properties." + path)
	}
	return nil
}

// stayed is the path of such a property. Lists are merged in ways of their own, and what is
// not shown is a secret, or was not there.
func stayed(change, before, after map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(change)) {
		value, old := change[name], before[name]
		if below, ok := value.(map[string]any); ok {
			oldBelow, _ := old.(map[string]any)
			newBelow, _ := after[name].(map[string]any)
			if path := stayed(below, oldBelow, newBelow); path != "" {
				return name + "." + path
			}
			continue
		}
		if _, list := value.([]any); list || saysNothing(value) || saysNothing(old) || slices.Contains(own, name) {
			continue
		}
		if !same(value, old) && same(old, after[name]) {
			return name
		}
	}
	return ""
}

func object(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var members map[string]any
	return members, json.Unmarshal(text, &members)
}

// saysNothing reports whether a JSON value is one that clients write for nothing.
func saysNothing(v any) bool {
	switch value := v.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	}
	return false
}

// same compares JSON values; in texts case does not count, nor how a time is written.
func same(a, b any) bool {
	x, isText := a.(string)
	y, areTexts := b.(string)
	if isText && areTexts {
		s, errS := time.Parse(time.RFC3339, x)
		t, errT := time.Parse(time.RFC3339, y)
		return strings.EqualFold(x, y) || errS == nil && errT == nil && s.Truncate(time.Second).Equal(t.Truncate(time.Second))
	}
	return reflect.DeepEqual(a, b)
}

func notHeeded(path string) error {
	return problem.New(problem.Unsupported, "NotImplemented",
		"The property '%s' cannot be changed in this version of Acrux.", path).On(path)
}

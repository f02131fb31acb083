package oci

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckBuildName(t *testing.T) {
	known := []string{"reg.azurecr.local:8443", "reg.azurecr.io"}
	long := strings.Repeat("a", 129)
	for _, test := range []struct{ name, nearest, reason string }{
		{name: "app"}, {name: "app:1"}, {name: "team/a__b.c--d/app:v1.0_rc-1"}, {name: "library/node:15"},
		{name: "app:{{.Run.ID}}"}, {name: "{{.Run.Registry}}/app:{{ .Run.Date }}"}, {name: "{{.Values.image}}"},
		{name: "reg.azurecr.io/g:1"}, {name: "REG.azurecr.io/g:1"}, {name: "reg.azurecr.local:8443/g"},
		{name: "docker.io/library/node:15"}, {name: "my.app/x:1"},
		{"MyApp:1", "myapp:1", "capital letters"},
		{"my app:1", "my-app:1", "a blank"},
		{" app:1 ", "app:1", "a blank"},
		{"app:bad+tag", "app:bad-tag", "the tag 'bad+tag'"},
		{"app:", "app", "tag is empty"},
		{"app:" + long, "app:" + long[:128], "129 characters"},
		{"app:1:2", "app:1-2", "more than one ':'"},
		{"app@sha256:" + strings.Repeat("0", 64), "app", "digest"},
		{"app:1@sha256:" + strings.Repeat("0", 64), "app:1", "digest"},
		{"app:$ID", "app:{{.Run.ID}}", "{{.Run.ID}}"},
		{"app:${Date}-x", "app:{{.Run.Date}}-x", "{{.Run.ID}}"},
		{":1", "", "no repository"},
		{"", "", "empty"},
		{"/app:1", "app:1", "parts of lower-case"},
		{"team//app/:1", "team/app:1", "parts of lower-case"},
		{"app_.x-:1", "app-x:1", "parts of lower-case"},
		{"app:.1", "app:1", "begins with"},
		{"App:{{.Run.ID}}", "app:{{.Run.ID}}", "capital letters"},
		{"reg.azurecr.io/My App:1", "reg.azurecr.io/my-app:1", "a blank"},
		{"localhost:5000/app:1", "app:1", "localhost:5000"},
		{"Other.azurecr.io/g:1", "g:1", "Other.azurecr.io"},
		{strings.Repeat("a", 256) + ":1", strings.Repeat("a", 255) + ":1", "256 characters"},
		{"äöü:1", "", "parts of lower-case"},
		{"bücher:ü1", "b-cher:1", "parts of lower-case"},
	} {
		err := CheckBuildName(test.name, known...)
		if test.reason == "" {
			if err != nil {
				t.Errorf("%q: %v", test.name, err)
			}
			continue
		}
		var bad *BadName
		if !errors.As(err, &bad) {
			t.Errorf("%q: accepted", test.name)
			continue
		}
		if bad.Nearest != test.nearest || !strings.Contains(bad.Reason, test.reason) {
			t.Errorf("%q: nearest %q, want %q: %s", test.name, bad.Nearest, test.nearest, bad.Reason)
		}
		if bad.Nearest != "" && CheckBuildName(bad.Nearest, known...) != nil {
			t.Errorf("%q: the nearest name %q is none", test.name, bad.Nearest)
		}
	}
}

// Where the registries are not known, their names are passed over.
func TestCheckBuildNameAnyRegistry(t *testing.T) {
	for _, name := range []string{"localhost:5000/app:1", "Reg.azurecr.io/g:1"} {
		if err := CheckBuildName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if CheckBuildName("localhost:5000/App:1") == nil {
		t.Error("capital letters were accepted behind a registry")
	}
}

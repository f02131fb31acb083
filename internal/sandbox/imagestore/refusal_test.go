//go:build linux

package imagestore

import (
	"slices"
	"testing"
)

func TestReadReasons(t *testing.T) {
	for _, test := range []struct {
		name, body    string
		code, message string
		more          []string
	}{
		{"nothing", "", "", "", nil},
		{"no JSON", "<html>", "", "", nil},
		{"plain", `{"errors":[{"code":"DENIED","message":"no"}]}`, "denied", "no", nil},
		{"text", `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no","detail":"a\nb"}]}`, "manifest unknown", "no", []string{"a", "b"}},
		{"object", `{"errors":[{"code":"DENIED","message":"no","detail":{"message":"a","hints":["b","c"]}}]}`, "denied", "no", []string{"a", "b", "c"}},
		{"usual detail", `{"errors":[{"code":"DENIED","message":"no","detail":[{"Type":"repository"}]}]}`, "denied", "no", nil},
		{"token service", `{"error":"invalid_grant","error_description":"expired"}`, "invalid grant", "expired", nil},
	} {
		got := readReasons([]byte(test.body))
		if got.code != test.code || got.message != test.message || !slices.Equal(got.more, test.more) {
			t.Errorf("%s: got %+v", test.name, got)
		}
	}
}

func TestRedact(t *testing.T) {
	in := `Get "https://blobs.example/a/b?sig=secret&x=1": refused`
	if got, want := Redact(in), `Get "https://blobs.example/a/b": refused`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"busybox":                          "docker.io/library/busybox:latest",
		"r.azurecr.acrux.localhost:8443/a": "r.azurecr.acrux.localhost:8443/a:latest",
		"r.azurecr.io/a/b:c":               "r.azurecr.io/a/b:c",
	} {
		named, err := Parse(in)
		if err != nil || named.String() != want {
			t.Errorf("Parse(%q) = %v, %v, want %s", in, named, err, want)
		}
	}
	if _, err := Parse("Not Legal"); err == nil {
		t.Error("an illegal name was accepted")
	}
}

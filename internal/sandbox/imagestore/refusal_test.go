//go:build linux

package imagestore

import (
	"testing"
)

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

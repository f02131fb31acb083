//go:build linux && cgo

package container

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestArguments(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"c"}}
	for _, test := range []struct {
		name string
		in   Command
		want []string
	}{
		{"image's", Command{}, []string{"e", "c"}},
		{"own arguments", Command{Args: []string{"a"}}, []string{"e", "a"}},
		{"own entry point", Command{Entrypoint: []string{"x"}}, []string{"x"}},
		{"both", Command{Entrypoint: []string{"x", "y"}, Args: []string{"a"}}, []string{"x", "y", "a"}},
		{"cleared", Command{Entrypoint: []string{""}, Args: []string{"a"}}, []string{"a"}},
		{"nothing", Command{Entrypoint: []string{""}}, nil},
	} {
		test.in.Image = image
		if got := test.in.Arguments(); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestNewSpecWantsACommand(t *testing.T) {
	if _, err := NewSpec(t.Context(), Command{ID: "x"}); err != ErrNoCommand {
		t.Errorf("error %v", err)
	}
}

func TestStartError(t *testing.T) {
	for text, code := range map[string]int{
		`exec: "x": executable file not found in $PATH`: 127,
		`exec: "/x": permission denied`:                 126,
		`something else`:                                125,
	} {
		if got := startError(errorString(text)).(*StartError).Code; got != code {
			t.Errorf("%s: code %d, want %d", text, got, code)
		}
	}
}

// What docker gives by itself may be asked for; what is more is said.
func TestPowers(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "CHOWN": "", "cap_net_raw": "", "SYS_ADMIN": "CAP_SYS_ADMIN", "all": "ALL", "CHOWN,SYS_PTRACE": "CAP_SYS_PTRACE",
	} {
		o := Options{CapDrop: []string{"ALL"}}
		if text != "" {
			o.CapAdd = strings.Split(text, ",")
		}
		if got, err := o.Powers(); err != nil || strings.Join(got, ",") != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
}

type errorString string

func (e errorString) Error() string { return string(e) }

package secret_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/acrux/acrux/internal/secret"
)

func sealer(t *testing.T, fill byte) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is sealed opens with the same key, in the same place and unchanged; else not.
func TestSeal(t *testing.T) {
	s := sealer(t, 1)
	sealed := s.Seal([]byte("hush"), "here")
	if got, err := s.Open(sealed, "here"); err != nil || string(got) != "hush" {
		t.Fatalf("%q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte("hush")) || bytes.Equal(sealed, s.Seal([]byte("hush"), "here")) {
		t.Error("the text shows, or sealing twice gives the same")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := s.Open(changed, "here"); err == nil {
			t.Errorf("byte %d was changed and it opened", i)
		}
	}
	for name, open := range map[string]func() ([]byte, error){
		"elsewhere":   func() ([]byte, error) { return s.Open(sealed, "there") },
		"another key": func() ([]byte, error) { return sealer(t, 2).Open(sealed, "here") },
		"cut":         func() ([]byte, error) { return s.Open(sealed[:len(sealed)-1], "here") },
		"too short":   func() ([]byte, error) { return s.Open(sealed[:3], "here") },
		"nothing":     func() ([]byte, error) { return s.Open(nil, "here") },
	} {
		if text, err := open(); err == nil {
			t.Errorf("%s: it opened, %q", name, text)
		}
	}
}

func TestMasterKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys", "master.key")
	first, err := secret.OpenSealer(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := secret.OpenSealer(file)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := again.Open(first.Seal([]byte("x"), "c"), "c"); err != nil || string(text) != "x" {
		t.Error(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	a, errA := first.Derive("a")
	b, errB := first.Derive("b")
	c, errC := again.Derive("a")
	if errA != nil || errB != nil || errC != nil || bytes.Equal(a, b) || !bytes.Equal(a, c) {
		t.Error("derived keys are the same for two purposes, or differ for one")
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.OpenSealer(file); err == nil {
		t.Error("a short key was taken")
	}
}

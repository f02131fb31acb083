//go:build linux

package rootless

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadRange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	text := "other:100000:65536\n# x:1:65536\nme:200000:10\nme:x:65536\nme:300000:65536\n1000:400000:65536\nbroken\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		names []string
		want  idRange
	}{
		{[]string{"me", "7"}, idRange{300000, 65536}},
		{[]string{"nobody", "1000"}, idRange{400000, 65536}},
		{[]string{"broken", "8"}, idRange{}},
	} {
		got, err := readRange(file, test.names)
		if got != test.want || (err == nil) != (test.want != idRange{}) {
			t.Errorf("%v: %v, %v, want %v", test.names, got, err, test.want)
		}
	}
	if _, err := readRange(file+"x", []string{"a", "1"}); err == nil {
		t.Error("a file that is not there was read")
	}
}

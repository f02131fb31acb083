package client

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWeight(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]int64
		want  Weight
	}{
		"nothing":     {nil, Weight{}},
		"a file":      {map[string]int64{"a": 5, "b/c": 4}, Weight{Bytes: 9, Largest: "a", LargestBytes: 5}},
		"a folder":    {map[string]int64{"a": 5, "b/c": 4, "b/d/e": 3}, Weight{Bytes: 12, Largest: "b/", LargestBytes: 7}},
		"far down":    {map[string]int64{"a": 5, "web/src/x": 4, "web/node_modules/p/q": 60, "web/node_modules/r": 60}, Weight{Bytes: 129, Largest: "web/node_modules/", LargestBytes: 120}},
		"equal":       {map[string]int64{"b/x": 5, "a/x": 5}, Weight{Bytes: 10, Largest: "a/", LargestBytes: 5}},
		"a name's":    {map[string]int64{"ab/x": 50, "a/x": 5, "a/b/x": 5}, Weight{Bytes: 60, Largest: "ab/", LargestBytes: 50}},
		"not ignored": {map[string]int64{"junk/x": 50, "a/x": 8, ".dockerignore": 0}, Weight{Bytes: 14, Largest: "a/", LargestBytes: 8, Ignore: true}},
	} {
		folder := t.TempDir()
		for file, size := range test.files {
			file = filepath.Join(folder, file)
			content := make([]byte, size)
			if filepath.Base(file) == ".dockerignore" {
				content = []byte("junk\n#")
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var told int64
		packed, err := Pack(t.Context(), io.Discard, folder, PackOptions{Progress: func(bytes int64) { told = bytes }})
		if err != nil || packed.Weight != test.want {
			t.Errorf("%s: %+v, %v; want %+v", name, packed.Weight, err, test.want)
		}
		if told < test.want.Bytes {
			t.Errorf("%s: %d bytes are told of", name, told)
		}
	}
}

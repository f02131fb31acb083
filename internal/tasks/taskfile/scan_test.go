package taskfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScanExamples(t *testing.T) {
	paths, err := filepath.Glob("testdata/scan/*.Dockerfile")
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".Dockerfile")
		t.Run(name, func(t *testing.T) {
			var want struct {
				Tags, BuildArgs []string
				Target, Error   string
				Dependencies    []Dependency
			}
			text, err := os.ReadFile(strings.TrimSuffix(path, ".Dockerfile") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			dockerfile, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Scan(dockerfile, want.Tags, want.BuildArgs, want.Target)
			if want.Error != "" {
				wantError(t, err, want.Error)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "dependencies", want.Dependencies, got)
		})
	}
}

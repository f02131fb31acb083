package taskfile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
				Tags, BuildArgs  []string
				Target, Platform string
				Contexts         map[string]string
				Notes            []string // how they begin
				Dependencies     []Dependency
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
			options := ScanOptions{Tags: want.Tags, Target: want.Target, Platform: want.Platform, Contexts: want.Contexts, Args: map[string]string{}}
			for _, arg := range want.BuildArgs {
				name, value, _ := strings.Cut(arg, "=")
				options.Args[name] = value
			}
			got, notes, err := Scan(dockerfile, options)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(notes, want.Notes, strings.HasPrefix) {
				t.Errorf("notes %q, want %q", notes, want.Notes)
			}
			diff(t, "dependencies", want.Dependencies, got)
		})
	}
}

// A name that is none is said of a tag, which is the author's for this step alone.
func TestScanTags(t *testing.T) {
	_, _, err := Scan([]byte("FROM alpine\n"), ScanOptions{Tags: []string{"app:1", "app:a b"}})
	wantError(t, err, "Failed to parse image reference, ensure tags have a valid format: app:a b: invalid reference format")
}

// However many stages there are, reading them takes as long as they are many.
func TestScanManyStages(t *testing.T) {
	const stages = 20_000
	var text strings.Builder
	text.WriteString("FROM i AS s\n")
	for i := range stages {
		fmt.Fprintf(&text, "FROM i%d AS s%d\nCOPY --from=s / /\nFROM $X:%d AS none\n", i, i, i)
	}
	text.WriteString("FROM s\n")
	found, notes, err := Scan([]byte(text.String()), ScanOptions{})
	if err != nil || found[0].Runtime == nil || found[0].Runtime.Repository != "library/i" || len(found[0].BuildTime) != stages {
		t.Errorf("%d build-time dependencies, error %v", len(found[0].BuildTime), err)
	}
	if len(notes) != maxNotes {
		t.Errorf("%d notes", len(notes))
	}
}

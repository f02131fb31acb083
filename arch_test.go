// Package acrux_test keeps the promises of ARCHITECTURE.md: what may import what,
// and that every package says what it is for.
package acrux_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/acrux/acrux/"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
}

// packages lists ours, those of the module of the clients' tests too.
func packages(t *testing.T) []pkg {
	t.Helper()
	return append(list(t, ".", "./cmd/...", "./internal/...", "./test/..."), list(t, "test/compat", "./...")...)
}

func list(t *testing.T, dir string, patterns ...string) []pkg {
	t.Helper()
	args := append([]string{"list", "-tags", "seccomp netgo osusergo", "-json=ImportPath,Dir,Imports"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", dir, err)
	}
	var all []pkg
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for decoder.More() {
		var p pkg
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// floor is a row of the table of floors: its packages, and what it may import, which are
// floors by their names and packages by their paths.
type floor struct {
	name     string
	packages []string
	below    []string
	used     map[string]bool // of packages and below, what there is
}

// permit returns which of below lets the floor import a package of another one, or "".
func (f *floor) permit(name string, to *floor) string {
	for _, below := range f.below {
		if below == to.name || below == name {
			return below
		}
	}
	return ""
}

// readFloors reads the table of ARCHITECTURE.md, from the roof down.
func readFloors(t *testing.T) (floors []*floor) {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "| floor | packages | may import |\n")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no table of floors")
	}
	for line := range strings.SplitSeq(rest, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			t.Fatalf("the row %q has not three columns", line)
		}
		if strings.HasPrefix(strings.TrimSpace(cells[1]), "---") {
			continue
		}
		f := &floor{name: strings.TrimSpace(cells[1]), used: map[string]bool{}}
		f.packages = strings.Fields(strings.ReplaceAll(cells[2], "`", ""))
		if names := strings.ReplaceAll(strings.TrimSpace(cells[3]), "`", ""); names != "" {
			f.below = strings.Split(names, ", ")
		}
		floors = append(floors, f)
	}
	return floors
}

// floorOf finds a package's floor by the longest name, and that name; the ground is nil, as
// are the tests.
func floorOf(floors []*floor, name string) (found *floor, by string) {
	for _, f := range floors {
		for _, p := range f.packages {
			if (name == p || strings.HasPrefix(name, p+"/")) && len(p) > len(by) {
				found, by = f, p
			}
		}
	}
	return found, by
}

func TestFloorsNameWhatIsBelow(t *testing.T) {
	floors := readFloors(t)
	for i, f := range floors {
		for _, name := range f.below {
			if !slices.ContainsFunc(floors[i+1:], func(below *floor) bool {
				of, _ := floorOf(floors, name)
				return below.name == name || below == of
			}) {
				t.Errorf("%s names %q, which is not below it", f.name, name)
			}
		}
	}
}

func TestImportsGoDown(t *testing.T) {
	floors := readFloors(t)
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "test/") {
			continue // tests stand beside the house
		}
		from, by := floorOf(floors, name)
		if from != nil {
			from.used[by] = true
		}
		for _, path := range p.Imports {
			ours, _ := strings.CutPrefix(path, module)
			to, _ := floorOf(floors, ours)
			if to == nil || to == from {
				continue
			}
			if from == nil || from.permit(ours, to) == "" {
				t.Errorf("%s imports %s, which its floor may not", name, ours)
				continue
			}
			from.used[from.permit(ours, to)] = true
		}
	}
	for _, f := range floors {
		for _, name := range slices.Concat(f.packages, f.below) {
			if !f.used[name] {
				t.Errorf("the floor %q names %q: no such package, or nothing there is imported", f.name, name)
			}
		}
	}
}

// forbidden are rules 2 to 4 of the architecture: who alone may use what.
var forbidden = []struct {
	why     string
	imports []string
	except  func(name string) bool
}{
	{"only store/sqlstore knows a database", []string{"database/sql", "modernc.org/sqlite", "github.com/jackc", "github.com/pressly/goose", "github.com/riverqueue"},
		func(name string) bool { return strings.HasPrefix(name, "internal/store/sqlstore") }},
	{"only store/blobstore knows an object store", []string{"github.com/minio/minio-go/v7"},
		func(name string) bool { return name == "internal/store/blobstore" || name == "internal/blob/blobtest" }},
	{"only sandbox/* and engine/* import containerd and runc, and dockerfile the names of platforms", []string{"github.com/containerd", "github.com/opencontainers/runc", "github.com/opencontainers/cgroups", "github.com/vishvananda", "github.com/google/nftables"},
		func(name string) bool {
			return strings.HasPrefix(name, "internal/engine") || strings.HasPrefix(name, "internal/sandbox") ||
				name == "internal/dockerfile"
		}},
	{"only sandbox/buildkit imports BuildKit, and dockerfile its parser", []string{"github.com/moby/buildkit"},
		func(name string) bool { return name == "internal/sandbox/buildkit" || name == "internal/dockerfile" }},
	{"only engine/docker asks a Docker Engine", []string{"github.com/moby/moby/client"},
		func(name string) bool { return name == "internal/engine/docker" }},
	{"domain packages run no programs", []string{"os/exec"}, func(name string) bool { return !isDomain(name) }},
	{"domain packages serve no HTTP", []string{"net/http/httptest", "net/http/httputil"}, func(name string) bool { return !isDomain(name) }},
}

func isDomain(name string) bool {
	return strings.HasPrefix(name, "internal/access/") || strings.HasPrefix(name, "internal/registry") || strings.HasPrefix(name, "internal/tasks/")
}

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, rule := range forbidden {
			if rule.except(name) {
				continue
			}
			for _, path := range p.Imports {
				if slices.ContainsFunc(rule.imports, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") }) {
					t.Errorf("%s imports %s: %s", name, path, rule.why)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if !hasPackageComment(t, p.Dir) {
			t.Errorf("%s has no package comment", strings.TrimPrefix(p.ImportPath, module))
		}
	}
}

func hasPackageComment(t *testing.T, dir string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if documented(f) {
			return true
		}
	}
	return false
}

func documented(f *ast.File) bool { return f.Doc != nil && len(f.Doc.Text()) > 40 }

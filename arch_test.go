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

// rule is a line of the map: a package and what of ours it may import.
type rule struct {
	name    string
	allowed []string
	used    bool
}

// readMap reads the block ```map of ARCHITECTURE.md: "package: imports …". An import
// that ends in /... means everything below.
func readMap(t *testing.T) []*rule {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```map\n")
	block, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("ARCHITECTURE.md has no block that begins with ```map")
	}
	var rules []*rule
	for line := range strings.SplitSeq(strings.TrimSpace(block), "\n") {
		name, imports, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("the map's line %q is not \"package: imports\"", line)
		}
		rules = append(rules, &rule{name: strings.TrimSpace(name), allowed: strings.Fields(imports)})
	}
	return rules
}

func TestImportsFollowTheMap(t *testing.T) {
	rules := readMap(t)
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(rules, func(r *rule) bool { return r.name == name })
		if i < 0 {
			t.Errorf("%s is not in the map of ARCHITECTURE.md", name)
			continue
		}
		rules[i].used = true
		used := map[string]bool{}
		for _, path := range p.Imports {
			ours, ok := strings.CutPrefix(path, module)
			if !ok {
				continue
			}
			if pattern := rules[i].permit(ours); pattern == "" {
				t.Errorf("%s imports %s, which the map does not allow", name, ours)
			} else {
				used[pattern] = true
			}
		}
		for _, pattern := range rules[i].allowed {
			if !used[pattern] {
				t.Errorf("the map lets %s import %s, and it does not", name, pattern)
			}
		}
	}
	for _, r := range rules {
		if !r.used {
			t.Errorf("the map names %s, and there is no such package", r.name)
		}
	}
}

func (r *rule) permit(name string) string {
	for _, pattern := range r.allowed {
		below, ok := strings.CutSuffix(pattern, "/...")
		if pattern == name || ok && (name == below || strings.HasPrefix(name, below+"/")) {
			return pattern
		}
	}
	return ""
}

// forbidden are rules 2 to 4 of the architecture: who alone may use what.
var forbidden = []struct {
	why     string
	imports []string
	except  func(name string) bool
}{
	{"only store/sqlstore knows a database", []string{"database/sql", "modernc.org/sqlite", "github.com/jackc", "github.com/pressly/goose", "github.com/riverqueue"},
		func(name string) bool { return strings.HasPrefix(name, "internal/store/sqlstore") }},
	{"only store/blob knows an object store", []string{"github.com/minio/minio-go/v7"},
		func(name string) bool { return strings.HasPrefix(name, "internal/store/blob") }},
	{"only engine/* imports containerd and runc, and dockerfile the names of platforms", []string{"github.com/containerd", "github.com/opencontainers/runc", "github.com/opencontainers/cgroups", "github.com/vishvananda", "github.com/google/nftables"},
		func(name string) bool {
			return strings.HasPrefix(name, "internal/engine") || name == "internal/dockerfile"
		}},
	{"only engine/buildkit imports BuildKit, and dockerfile its parser", []string{"github.com/moby/buildkit"},
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

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
)

const examples = "../tasks/taskfile/testdata"

// offline runs a line as nobody.
func offline(t *testing.T, stdin string, args ...string) (status int, out, errs string) {
	t.Helper()
	t.Setenv("ACRUX_CONFIG_DIR", t.TempDir())
	t.Setenv("ARM_ENDPOINT", "")
	var stdout, stderr strings.Builder
	status = Main(append([]string{"acrux"}, args...), strings.NewReader(stdin), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// Every example that is valid has a plan, in which each step comes after those that it
// waits for; every other is refused.
func TestPlanExamples(t *testing.T) {
	paths, err := filepath.Glob(examples + "/*.yaml")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	valid := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "# expect: valid") {
			continue
		}
		valid++
		if strings.Contains(path, "env-05") {
			continue // valid only where a service adds no variables
		}
		status, out, errs := offline(t, "", append([]string{"plan", path, examples, "-o", "json"}, given(string(text))...)...)
		var plan shownPlan
		if err := json.Unmarshal([]byte(out), &plan); err != nil {
			t.Errorf("%s: status %d, %v: %s", path, status, err, errs)
			continue
		}
		checkLevels(t, path, &plan)
		if fails := strings.Contains(out, `"fails"`); fails != (status != 0) {
			t.Errorf("%s: status %d, a step fails: %v", path, status, fails)
		}
	}
	if valid < 80 {
		t.Errorf("only %d examples are valid", valid)
	}
}

// given are the flags for what an example says that it is given.
func given(text string) []string {
	var flags []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if set, ok := strings.CutPrefix(line, "# given set: "); ok {
			flags = append(flags, "--set", set)
		}
		if file, ok := strings.CutPrefix(line, "# given values: "); ok {
			flags = append(flags, "--values", examples+"/"+file)
		}
	}
	return flags
}

func checkLevels(t *testing.T, path string, plan *shownPlan) {
	t.Helper()
	level := map[string]int{"acb_root": -1}
	for i, steps := range plan.Levels {
		for _, id := range steps {
			level[id] = i
		}
	}
	if len(level) != len(plan.Steps)+1 {
		t.Errorf("%s: %d steps in levels of %d", path, len(level)-1, len(plan.Steps))
	}
	for _, edge := range plan.Edges {
		if level[edge.From] >= level[edge.To] {
			t.Errorf("%s: %s comes not before %s", path, edge.From, edge.To)
		}
	}
}

// Files of strangers are refused, or their plan has an end; neither reads what lies
// outside the source.
func TestPlanOfHostileFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), []byte("FROM a\n"+strings.Repeat("ARG x\n", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
	}
	tests := []struct {
		name, in string
		status   int
		want     string
	}{
		{"aliases of YAML", bomb + "steps: [{cmd: a, env: *a11}]\n", 1, "cannot unmarshal"},
		{"many steps", "steps:\n" + strings.Repeat("  - cmd: a\n", 10_000), 1, "10000 steps"},
		{"many images", "steps:\n" + lines(4_000, "  - cmd: h%d.example/a:%d\n"), 0, "h3999.example"},
		{"many builds", "steps:\n" + lines(4_000, "  - build: -f large -t r%d/x:%d .\n"), 0, "the Dockerfiles are too many"},
		{"deep", "steps: " + strings.Repeat("[", 9_000), 1, "yaml"},
		{"large", "steps:\n  - cmd: " + strings.Repeat("a", 100<<20), 1, "larger than"},
		{"a link out of the source", "steps: [{build: .}]\n", 0, "the Dockerfile is not known"},
		{"a way out of the source", "steps: [{build: -f ../../../etc/passwd .}]\n", 0, "is not in the source"},
		{"control of the terminal", "steps: [{cmd: \"a \\e[2J\"}]\n", 0, "\ufffd[2J"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, out, errs := offline(t, tt.in, "plan", "-", dir)
			if status != tt.status || !strings.Contains(out+errs, tt.want) {
				t.Errorf("status %d: %.500s", status, out+errs)
			}
			if strings.Contains(out+errs, "root:") {
				t.Error("a file of the machine is shown")
			}
		})
	}
}

// lines repeats a line with its number.
func lines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i)
	}
	return b.String()
}

func TestJudge(t *testing.T) {
	role := func(id string) rbac.Role {
		found, ok := rbac.RoleByID(id)
		if !ok {
			t.Fatal("no role " + id)
		}
		return found
	}
	pull, push := role("7f951dda-4ed3-4680-a7ca-43fe172d538d"), role("8311e382-0749-4cb8-b61a-304f252e45ec")
	scope, err := arm.ParseID("/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/r")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		pull, push bool
		roles      []rbac.Role
		missing    int
		fix        string
	}{
		{"nothing", true, false, nil, 1, "--role AcrPull"},
		{"enough", true, false, []rbac.Role{pull}, 0, ""},
		{"more than enough", true, false, []rbac.Role{push}, 0, ""},
		{"too little", true, true, []rbac.Role{pull}, 1, "--role AcrPush"},
		{"nothing of two", true, true, nil, 2, "--role AcrPush"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := shownRegistry{Pull: tt.pull, Push: tt.push}
			r.judge(tt.roles, scope, "p")
			if len(r.Missing) != tt.missing || (r.Rights == rightsMissing) != (tt.missing > 0) || !strings.HasSuffix(strings.Join(r.Fixes, "; "), tt.fix) || len(r.Fixes) > 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A cache in a registry is read and written there.
func TestPlanCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "acb.yaml")
	if err := os.WriteFile(file, []byte("version: v1.1.0\nsteps:\n- id: b\n  build: -t $Registry/web:1 .\n  cache: enabled\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, errs := offline(t, "", "plan", file, "-o", "json")
	var plan shownPlan
	if err := json.Unmarshal([]byte(out), &plan); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	for what, images := range map[string][]shownImage{"pulls": plan.Pulls, "pushes": plan.Pushes} {
		if len(images) != 1 || !strings.HasSuffix(images[0].Image, "/web:cache_quickrun_b") {
			t.Errorf("%s %+v", what, images)
		}
	}
}

package taskfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each of these would use up the memory or the time of the machine if nothing
// bounded it. The test is that it ends, with an error.
func TestHostileTemplates(t *testing.T) {
	tests := []struct{ name, in string }{
		{"repeat", `{{ repeat 1000000000 "x" }}`},
		{"until", `{{ until 1000000000 }}`},
		{"until with a text", `{{ until (int "1000000000") | len }}`},
		{"sequence", `{{ seq 0 1000000000 }}`},
		{"width", `{{ printf "%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d" 1 }}`},
		{"doubling", `{{ $x := "aaaa" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}`},
		{"doubling lists", `{{ $x := list 1 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}`},
		{"loops in loops", `{{ $n := until 100000 }}{{ range $n }}{{ range $n }}{{ range $n }}{{ end }}{{ end }}{{ end }}`},
		{"templates in templates", `{{ define "a" }}{{ template "b" }}{{ template "b" }}{{ end }}{{ define "b" }}{{ template "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`},
		{"cycle", `{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $d }}`},
		{"merged cycle", `{{ $d := dict "a" 1 }}{{ $_ := merge $d (dict "d" $d) }}{{ print $d }}`},
		{"shared value", `{{ $d := dict }}{{ range until 60 }}{{ $d = dict "a" $d "b" $d }}{{ end }}{{ $d }}`},
		{"replace", `{{ $x := repeat 10000 "a" }}{{ replace "a" (repeat 10000 "b") $x }}`},
		{"expression", `{{ regexReplaceAll "a" (repeat 10000 "a") (repeat 10000 "b") }}`},
		{"indent", `{{ indent 100000000 "a" }}`},
		{"keys", `{{ range until 1000 }}{{ genPrivateKey "rsa" }}{{ end }}`},
		{"host name", `{{ getHostByName "localhost" }}`},
		{"output", `{{ range until 100 }}{{ repeat 200000 "a" }}{{ end }}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if out, err := execute("decoded", tt.in, map[string]any{}); err == nil {
				t.Errorf("rendered %d bytes without an error", len(out))
			}
		})
	}
}

func TestTemplatesRevealNothing(t *testing.T) {
	t.Setenv("ACRUX_TEST_SECRET", "hunter2")
	for _, in := range []string{`[{{ env "ACRUX_TEST_SECRET" }}]`, `[{{ expandenv "$ACRUX_TEST_SECRET" }}]`} {
		out, err := execute("decoded", in, map[string]any{})
		if err != nil || out != "[]" {
			t.Errorf("%s: got %q, %v", in, out, err)
		}
	}
}

func TestOrdinaryWorkFits(t *testing.T) {
	in := `{{ range $i, $_ := until 2000 }}{{ printf "%03d" $i | upper | quote }} {{ list 1 2 | join "," }}{{ end }}`
	if _, err := execute("decoded", in, map[string]any{}); err != nil {
		t.Error(err)
	}
}

func TestDockerBuild(t *testing.T) {
	build := DockerBuild{
		Images: []string{"app:{{.Run.ID}}", "second.azurecr.io/app:1", "library/x"},
		Push:   true, NoCache: true, Target: "final", Registries: []string{"myregistry.azurecr.io", "second.azurecr.io"},
		Args: []Value{{"V", "{{.Run.ID}}"}, {"W", "two words"}}, SecretArgs: []Value{{"S", "{{.Run.ID}}"}}, Run: standardRun(),
	}
	plan, err := build.Plan()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "text", `--no-cache -f Dockerfile -t myregistry.azurecr.io/app:cf10 -t second.azurecr.io/app:1 -t library/x`+
		` --build-arg V=cf10 --build-arg 'W=two words' --build-arg 'S={{.Run.ID}}' --target final .`, plan.Steps[0].Build.Text)
	diff(t, "push", []string{"myregistry.azurecr.io/app:cf10", "second.azurecr.io/app:1", "library/x:latest"}, plan.Steps[1].Push)
	build.Registries = nil
	if _, err := build.Plan(); err == nil || !strings.Contains(err.Error(), "at least one credential") {
		t.Errorf("push without a credential: %v", err)
	}
}

func FuzzRender(f *testing.F) {
	f.Add("version: v1.1.0\nalias:\n  values: {a: b}\nsteps:\n  - cmd: bash $a {{.Run.ID}}\n")
	f.Add("steps:\n  - build: -t x --pull https://h/x.git#a:b\n")
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := Render(t.Context(), Input{Name: "decoded", File: []byte(text), Run: standardRun()})
		if (plan == nil) == (err == nil) {
			t.Errorf("plan %v, error %v", plan, err)
		}
		if err != nil {
			return
		}
		known := map[string]bool{Root: true}
		for _, step := range plan.Steps {
			for _, parent := range step.Parents {
				if !known[parent] {
					t.Errorf("%s waits for %s, which does not come before it", step.ID, parent)
				}
			}
			known[step.ID] = true
		}
	})
}

// Lint never fails, always has places within the file, and agrees with Render.
func FuzzLint(f *testing.F) {
	for _, text := range []string{
		"version: v1.1.0\nalias:\n  values: {a: b}\nsteps:\n  - cmd: bash $a $b {{.Run.Id}}\n    when: [x]\n",
		"# x\r\nsecrets: [{id: a}]\r\nvolumes: [{name: v, secret: {f: '?'}}]\r\nsteps: [{push: x, keep: y}]\r\n",
		"a: &a {b: c, <<: *a}\nsteps: {{ range until 3 }}[*a]{{ end }}\n",
	} {
		f.Add(text)
	}
	examples, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, example := range examples {
		text, err := os.ReadFile(example)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := Input{Name: "decoded", File: []byte(text), Run: standardRun()}
		in.Secret = func(_ context.Context, s Secret) (string, error) { return "secret", nil }
		problems, err := Lint(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		faults := 0
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Line > strings.Count(text, "\n")+1 {
				t.Errorf("no place in the file: %+v", p)
			}
			if p.Severity == Fault {
				faults++
			}
		}
		if _, err := Render(t.Context(), in); err != nil && faults == 0 && !strings.Contains(err.Error(), "alias source") {
			t.Errorf("no fault, but %v", err)
		}
	})
}

// hostileFiles are files that would become much larger in memory than they are, or take
// long to look at.
func hostileFiles() map[string]string {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
	}
	merges := "a0: &a0 {id: x}\n"
	for i := 1; i < 2000; i++ {
		merges += fmt.Sprintf("a%d: &a%d {<<: *a%d, <<: *a%d}\n", i, i, i-1, i-1)
	}
	return map[string]string{
		"aliases of YAML":         bomb + "steps:\n  - cmd: a\n    env: *a11\n",
		"aliases of YAML, unused": bomb + "steps: [{cmd: a, retries: -1}]\n",
		"merges":                  merges + "steps: [{cmd: a, <<: *a1999, retries: -1}]\n",
		"a mapping within itself": "steps: &s\n  - cmd: a\n    env: *s\n",
		"10,000 steps":            "steps:\n" + strings.Repeat("  - cmd: a\n", 10_000),
		"10,000 bad steps":        "steps:\n" + strings.Repeat("  - {id: a, tiemout: x}\n", 10_000),
		"4,000 bad steps":         "steps:\n" + strings.Repeat("  - {id: a, tiemout: x, when: [b, c, d]}\n", 4_000),
		"nested brackets":         "steps: " + strings.Repeat("[", 9_000),
		"nested and closed":       "steps: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"nested mappings":         "steps: " + strings.Repeat("{a: ", 9_000) + strings.Repeat("}", 9_000),
		"nested lists":            "steps:\n" + strings.Repeat("- ", 100_000) + "a\n",
		"many lines":              "steps:\n" + strings.Repeat("- a\n", 1_000_000),
		"many items":              "steps: [" + strings.Repeat("a,", 2_000_000) + "]\n",
		"100 MB":                  "steps:\n  - cmd: " + strings.Repeat("a", 100<<20) + "\n",
		"many aliases":            "version: v1.1.0\nsteps:\n  - cmd: " + strings.Repeat("$Regsitry ", 500_000) + "\n    retries: -1\n",
		"many templates":          "steps:\n  - cmd: " + strings.Repeat("{{.Run.Idd}}", 500_000) + "\n    retries: -1\n",
		"a large alias":           "version: v1.1.0\nalias: {values: {a: '" + strings.Repeat("x", 1<<20) + "'}}\nsteps:\n  - cmd: " + strings.Repeat("$a ", 1<<20) + "\n",
		"loops":                   "steps:\n{{ range until 100000 }}\n  - cmd: a\n{{ end }}\n",
		"a long key":              "steps: []\n" + strings.Repeat("k", 1<<20) + ": 1\n",
	}
}

func TestHostileFiles(t *testing.T) {
	for name, text := range hostileFiles() {
		t.Run(name, func(t *testing.T) {
			in := Input{Name: "acb.yaml", File: []byte(text), Run: standardRun()}
			if _, err := Render(t.Context(), in); err == nil && name != "a long key" {
				t.Error("rendered without an error")
			} else if err != nil && len(err.Error()) > 10_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			problems, err := Lint(t.Context(), in)
			if err != nil || len(problems) == 0 || len(problems) > maxFindings {
				t.Errorf("%d problems, %v", len(problems), err)
			}
		})
	}
}

// hundredSteps is a file of an ordinary kind: aliases, templates, and a hundred steps.
func hundredSteps() string {
	var b strings.Builder
	b.WriteString("version: v1.1.0\n# A comment.\nalias:\n  values: {repo: team/app}\nenv: [A=1, B=2]\nsteps:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  - id: build%d\n    build: -t $Registry/$repo:%d-{{.Run.ID}} -f Dockerfile .\n    when: ['-']\n", i, i)
		fmt.Fprintf(&b, "  - id: test%d\n    cmd: bash -c 'test {{.Values.name | default \"x\"}}'\n    when: [build%d]\n    env: [C=3]\n    timeout: 60\n", i, i)
	}
	return b.String()
}

// What is promised is 5 ms; docs/reference/task-file.md has what was measured.
func BenchmarkRender(b *testing.B) {
	in := Input{Name: "acb.yaml", File: []byte(hundredSteps()), Run: standardRun()}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLint(b *testing.B) {
	in := Input{Name: "acb.yaml", File: []byte(hundredSteps()), Run: standardRun()}
	b.ReportAllocs()
	for b.Loop() {
		if problems, err := Lint(b.Context(), in); err != nil || len(problems) > 0 {
			b.Fatal(problems, err)
		}
	}
}

package taskfile

import (
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

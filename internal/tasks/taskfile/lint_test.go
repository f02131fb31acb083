package taskfile

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// laterExamples are files that a server takes, and of which it is known that the run fails.
var laterExamples = map[string]string{"volume-12-bad-base64-is-a-run-time-error": "Base64"}

// Lint refuses what the runner refuses, in its words, with a place, and nothing else.
func TestLintExamples(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			ex := readExample(t, path)
			problems, err := Lint(t.Context(), ex.in)
			if err != nil {
				t.Fatal(err)
			}
			want := laterExamples[name]
			if ex.expect["expect"][0] == "error" {
				want = strings.ReplaceAll(ex.expect["error"][0], "no such file or directory", "file does not exist")
			}
			checkFaults(t, want, problems)
		})
	}
}

func checkFaults(t *testing.T, want string, problems []Problem) {
	t.Helper()
	said := want == ""
	for _, p := range problems {
		if p.Line < 1 || p.Column < 1 {
			t.Errorf("no place: %+v", p)
		}
		if p.Severity != Fault {
			continue
		}
		if want == "" {
			t.Errorf("a valid file has a fault: %+v", p)
		}
		said = said || strings.Contains(p.Reference+p.Message, want)
	}
	if !said {
		t.Errorf("nothing says %q: %+v", want, problems)
	}
}

// Places are those of the file as it was written, whatever happens to the text.
func TestPlaces(t *testing.T) {
	const alias = "version: v1.1.0\nalias:\n  values:\n    two: |-\n      first line\n      second\n"
	tests := []struct{ name, in, want string }{
		{"plain", "steps:\n  - cmd: a\n    retries: -1\n", "3:14 steps[0].retries"},
		{"comments before and between", "# one\n\nsteps:\n  # two\n  - cmd: a\n    # three\n    retries: -1\n", "7:14 steps[0].retries"},
		{"CRLF", "# one\r\nsteps:\r\n  - cmd: a\r\n    retries: -1\r\n", "4:14 steps[0].retries"},
		{"byte order mark", "\ufeffsteps: [{cmd: a, retries: -1}]\n", "1:27 steps[0].retries"},
		{"letters of several bytes", "steps: [{cmd: äöü, retries: -1}]\n", "1:29 steps[0].retries"},
		{"behind a value", "steps: [{cmd: '{{.Run.ID}}', retries: -1}]\n", "1:39 steps[0].retries"},
		{"a value of several lines", "steps:\n  - cmd: |\n      {{ \"a\\n      b\\n      c\" }}\n    retries: -1\n", "4:14 steps[0].retries"},
		{"in a loop", "steps:\n{{ range until 3 }}\n  - cmd: a\n    retries: -1\n{{ end }}\n", "4:14 steps[0].retries"},
		{"trimmed", "steps:\n{{- range until 3 }}\n  - cmd: a\n    retries: -1\n{{- end }}\n", "4:14 steps[0].retries"},
		{"behind nothing", "steps: [{cmd: '{{.Values.x}}{{.Values.x}}a', retries: -1}]\n", "1:55 steps[0].retries"},
		{"behind a block of aliases", alias + "steps:\n  - cmd: a\n    retries: -1\n", "9:14 steps[0].retries"},
		{"behind aliases", alias + "steps: [{cmd: '$ID $Registry $$x $z', retries: -1}]\n", "7:48 steps[0].retries"},
		{"behind an alias of two lines", alias + "steps:\n  - cmd: '$two'\n    retries: -1\n", "9:14 steps[0].retries"},
		{"in an alias", "version: v1.1.0\nalias: {values: {n: -1}}\nsteps:\n  - cmd: a\n    retries: $n\n", "5:14 steps[0].retries"},
		{"an anchor", "x-a: &a\n  retries: -1\nsteps:\n  - cmd: a\n    <<: *a\n", "2:12 steps[0].retries"},
		{"an item by its alias", "x-a: &a [a, b c]\nsteps:\n  - cmd: a\n    id: x\n  - cmd: b\n    when: *a\n", "1:10 steps[1].when[0]"},
		{"the last of two", "steps:\n  - cmd: a\n    retries: 1\n    retries: -1\n", "4:14 steps[0].retries"},
		{"a missing key", "# x\nsteps:\n  - id: a\n", "3:5 steps[0]"},
		{"a type", "# x\nsteps:\n  - cmd: a\n    keep: maybe\n", "4:11 steps[0].keep"},
		{"a type behind a block of aliases", alias + "steps:\n  - cmd: a\n    keep: maybe\n", "9:11 steps[0].keep"},
		{"YAML", "# x\nsteps:\n  # y\n  - cmd: a\n   keep: maybe\n", "4:3"},
		{"a template", "# x\nsteps:\n# y\n  - cmd: {{ shout }}\n", "4:1"},
		{"a template that fails", "# x\nsteps:\n# y\n  - cmd: {{ .Values.a.b }}\n", "4:20"},
		{"a file with secrets", "# x\nsteps:\n  # y\n  - cmd: a {{.Secrets.s}}\n    retries: -1\n# z\nsecrets:\n  - id: s\n    keyvault: https://v.vault.azure.net/secrets/s\n", "5:14 steps[0].retries"},
		{"a secret", "# x\nsteps: []\n# z\nsecrets:\n  - id: s\n    clientID: x\n", "5:5 secrets[0].keyvault"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Name: "acb.yaml", File: []byte(tt.in), Run: standardRun()}
			in.Secret = func(context.Context, Secret) (string, error) { return "x", nil }
			_, err := Render(t.Context(), in)
			var placed *Error
			if !errors.As(err, &placed) {
				t.Fatalf("no place: %v", err)
			}
			diff(t, "place of "+err.Error(), tt.want, strings.TrimSpace(fmt.Sprintf("%d:%d %s", placed.Line, placed.Column, placed.Path)))
			problems, err := Lint(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Fault && p.Line == placed.Line && p.Column == placed.Column }) {
				t.Errorf("Lint has it elsewhere: %+v", problems)
			}
		})
	}
}

// What Lint knows beyond the runner.
func TestLintFindsWhatShowsLater(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"a key", "steps:\n  - cmd: a\n    tiemout: 3\n", `3:5 warning "tiemout" → "timeout"`},
		{"a key of documentation", "steps:\n  - cmd: a\n    downloadRetries: 3\n", `3:5 warning "downloadRetries" → "cmdDownloadRetries"`},
		{"a key in the wrong case", "Steps:\n  - cmd: a\n", `1:1 warning "Steps" → "steps"`},
		{"a key of a mount", "volumes: [{name: v, secret: {f: Zg==}}]\nsteps:\n  - cmd: a\n    volumeMounts: [{name: v, mountPath: /x, mode: 1}]\n", `4:45 warning "mode" → ""`},
		{"a key of aliases", "version: v1.1.0\nalias:\n  value: {a: b}\nsteps: []\n", `3:3 warning "value" → "values"`},
		{"a key twice", "steps: []\nsteps: []\n", `2:1 warning "steps" → ""`},
		{"no effect", "steps:\n  - build: .\n    entryPoint: x\n", `3:5 warning "entryPoint" → ""`},
		{"an unknown step", "steps:\n  - id: build\n    cmd: a\n  - cmd: b\n    when: [biuld]\n", `5:12 error "biuld" → "build"`},
		{"a later step", "steps:\n  - cmd: b\n    when: [z]\n  - cmd: a\n    id: z\n    when: ['-']\n", `3:12 error "z" → ""`},
		{"an unknown volume", "volumes: [{name: vol, secret: {f: Zg==}}]\nsteps:\n  - cmd: a\n    volumeMounts: [{name: vo1, mountPath: /x}]\n", `4:27 error "vo1" → "vol"`},
		{"an unknown network", "networks: [{name: front}]\nsteps:\n  - cmd: a\n    network: fornt\n", `4:14 error "fornt" → "front"`},
		{"the network of an unknown step", "steps:\n  - cmd: a\n    id: db\n  - cmd: a\n    network: container:bd\n", `5:14 warning "bd" → "db"`},
		{"a name of no container", "steps:\n  - cmd: a\n    id: -x\n", `3:9 error "" → ""`},
		{"a push of nothing", "steps:\n  - build: -t r/app:1 .\n  - push: [r/app:2]\n", `3:12 warning "r/app:2" → "r/app:1"`},
		{"an alias", "version: v1.1.0\nsteps:\n  - build: -t $Regsitry/x .\n", `3:15 warning "$Regsitry" → "$Registry"`},
		{"an alias that resembles none, in an image", "version: v1.1.0\nsteps:\n  - build: -t $Nothing/x .\n", `3:15 warning "$Nothing" → ""`},
		{"an alias without its version", "steps:\n  - cmd: a $Registry/x\n", `2:12 warning "$Registry" → ""`},
		{"a block of aliases without its version", "alias:\n  values: {a: b}\nsteps: []\n", `2:3 warning "alias" → ""`},
		{"a value of a run", "steps:\n  - cmd: a {{.Run.Registy}}\n", `2:14 warning ".Run.Registy" → ".Run.Registry"`},
		{"a value of a run in a loop", "steps:\n{{ range until 2 }}\n  - cmd: a {{ $.Run.Registy }}\n{{ end }}\n", `3:16 warning ".Run.Registy" → ".Run.Registry"`},
		{"a name of a template", "steps:\n  - cmd: a {{.Valuse}}\n", `2:14 warning ".Valuse" → ".Values"`},
		{"a secret", "secrets:\n  - id: token\n    keyvault: https://v.vault.azure.net/secrets/s\nsteps:\n  - cmd: a {{.Secrets.tokn}}\n", `5:14 warning ".Secrets.tokn" → ".Secrets.token"`},
		{"the URL of a secret", "secrets:\n  - id: token\n    keyvault: http://v.vault.azure.net/secrets/s\nsteps: []\n", `3:15 error "" → ""`},
		{"a file that is no Base64", "volumes:\n  - name: v\n    secret: {f: '?'}\nsteps: []\n", `3:17 error "" → ""`},
		{"a type", "steps:\n  - cmd: a\n    detach: 1\n", `3:13 error "detach" → ""`},
		{"a mapping for a list", "steps: {a: b}\n", `1:8 error "steps" → ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems, err := Lint(t.Context(), Input{Name: "acb.yaml", File: []byte(tt.in), Run: standardRun()})
			if err != nil || len(problems) != 1 {
				t.Fatalf("%v, %+v", err, problems)
			}
			p := problems[0]
			diff(t, p.Message, tt.want, fmt.Sprintf("%d:%d %s %q → %q", p.Line, p.Column, p.Severity, p.Wrong, p.Nearest))
		})
	}
}

// What is ordinary is not doubted.
func TestLintLeavesAlone(t *testing.T) {
	for _, in := range []string{
		"version: v1.1.0\nsteps:\n  - cmd: bash -c 'for i in 1 2; do echo $i $HOME $PATH; done'\n",
		"version: v1.1.0\nsteps:\n  - cmd: bash echo {{ $Region := .Run.ID }}{{ $Region }}\n",
		"x-env: &e [A=b]\nsteps:\n  - cmd: a\n    env: *e\n",
		"steps:\n  - cmd: docker tag a:1 r/app:2\n  - push: [r/app:2]\n",
		"steps:\n  - cmd: pack build r/app\n  - push: [r/app]\n",
		"version: v1.1.0\nalias: {src: [https://example.com/a.yml]}\nsteps:\n  - build: -t $Regsitry/x .\n",
	} {
		problems, err := Lint(t.Context(), Input{Name: "acb.yaml", File: []byte(in), Run: standardRun()})
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %+v", in, err, problems)
		}
	}
}

func TestSeveralProblems(t *testing.T) {
	in := "steps:\n  - cmd: a\n    retries: -1\n    timeout: x\n  - push: r/a\n    tags: [x]\n"
	problems, err := Lint(t.Context(), Input{Name: "acb.yaml", File: []byte(in), Run: standardRun()})
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	diff(t, "lines", []int{3, 4, 5, 6}, lines) // that a step does nothing follows from the type of its push
}

package engine

import (
	"slices"
	"testing"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Data comes to the container in one piece; what is one word to a shell is what it makes of it.
func TestDataStaysWhole(t *testing.T) {
	for _, test := range []struct{ entry, want string }{
		// What a shell takes apart.
		{`Q=x y`, `Q=x y`},
		{`Q=x;y`, `Q=x;y`},
		{`Q=a&b`, `Q=a&b`},
		{`Q=a && b`, `Q=a && b`},
		{`Q=a|b`, `Q=a|b`},
		{`Q=a>b`, `Q=a>b`},
		{`Q=2>&1`, `Q=2>&1`},
		{`Q=(a)`, `Q=(a)`},
		{`Q=it's`, `Q=it's`},
		{`Q=it's Bob's`, `Q=it's Bob's`},
		{`Q=say "hi"`, `Q=say "hi"`},
		{`Q=5" disk`, `Q=5" disk`},
		{"Q=two\nlines", "Q=two\nlines"},
		{"Q=a line\n", "Q=a line\n"},
		{"Q=tab\tbed", "Q=tab\tbed"},
		{`Q= leading`, `Q= leading`},
		{`Q=a #b`, `Q=a #b`},
		{`Q=cost $5 each`, `Q=cost $5 each`},
		{`Q=a "b" $(id)`, `Q=a "b" $(id)`},
		{`Q=C:\new`, `Q=C:\new`},
		{`Q=\\server\share`, `Q=\\server\share`},
		{`Q=\d+`, `Q=\d+`},
		{`Q={"a":"b"}`, `Q={"a":"b"}`},
		{`Q={"a":"b","c":[1,2]}`, `Q={"a":"b","c":[1,2]}`},
		{`Q={"a": "it's $5"}`, `Q={"a": "it's $5"}`},
		{`Q=["a","b"]`, `Q=["a","b"]`},
		{`Q={'a':'b'}`, `Q={'a':'b'}`},
		{`Q=<a href="x">`, `Q=<a href="x">`},
		{`Q=1 --env B=2`, `Q=1 --env B=2`},
		{`Q=1 --privileged alpine sh`, `Q=1 --privileged alpine sh`},
		// What works in a shell, works as there.
		{`Q=plain`, `Q=plain`},
		{`Q=`, `Q=`},
		{`Q={a,b}`, `Q={a,b}`},
		{`Q=a=b,c`, `Q=a=b,c`},
		{`Q=*`, `Q=*`},
		{`Q=~`, `Q=~`},
		{`Q=#x`, `Q=#x`},
		{`Q='x y'`, `Q=x y`},
		{`'Q=x y'`, `Q=x y`},
		{`"Q=x y"`, `Q=x y`},
		{`Q="it's"`, `Q=it's`},
		{`Q="x"`, `Q=x`},
		{`Q=''`, `Q=`},
		{`Q=x\ y`, `Q=x y`},
		{`Q=\"hi\"`, `Q="hi"`},
		{`Q=C:\\new`, `Q=C:\new`},
		{`Q=\$HOME`, `Q=$HOME`},
		{`Q=$HOME/x`, `Q=/acb/home/x`},
		{`Q=${NONE:-other}`, `Q=other`},
		{`Q=-Dx="a b"`, `Q=-Dx=a b`},
		{`Q='{"a":"b"}'`, `Q={"a":"b"}`},
		{`Q='it'"'"'s'`, `Q=it's`},
		{`Q="{\"a\": 1}"`, `Q={"a": 1}`},
	} {
		step := &taskfile.Step{ID: "s", Kind: taskfile.KindCmd, Cmd: "img arg", Env: []string{test.entry}}
		line, err := parseRunLine(step.CommandLine("v"))
		if err != nil {
			t.Errorf("%s: %v", test.entry, err)
			continue
		}
		if got := line.env[1:]; !slices.Equal(got, []string{test.want}) || line.image != "img" || !slices.Equal(line.args, []string{"arg"}) {
			t.Errorf("%s: environment %q, image %q, arguments %q; want %q", test.entry, got, line.image, line.args, test.want)
		}
	}
}

// No property becomes an image, an option, or a command.
func TestPropertiesStayWhole(t *testing.T) {
	const odd = `x; y "z`
	step := &taskfile.Step{
		ID: odd, Kind: taskfile.KindCmd, Cmd: "img arg", User: odd, Network: odd, Isolation: odd, CPUs: odd, EntryPoint: odd,
		Ports: []string{odd}, Expose: []string{odd}, WorkingDirectory: odd, Mounts: []taskfile.Mount{{Volume: "v", Path: "/" + odd}},
	}
	line, err := parseRunLine(step.CommandLine("v"))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{line.name, line.user, line.network, line.isolation, line.cpus, line.entrypoint, line.ports[0], line.expose[0]}
	for i, value := range got {
		if value != odd {
			t.Errorf("property %d is %q", i, value)
		}
	}
	if line.image != "img" || len(line.args) != 1 || line.workdir != "/workspace/"+odd || line.volumes[3] != "v:/"+odd {
		t.Errorf("%+v", line)
	}
}

func TestBracesAreNoLists(t *testing.T) {
	words, err := shellWords(`docker run img {a,b} x{1..3} "{c,d}" ${NONE:-{e,f}}`)
	want := []string{"docker", "run", "img", "{a,b}", "x{1..3}", "{c,d}", "{e,f}"}
	if err != nil || !slices.Equal(words, want) {
		t.Errorf("%q, %v; want %q", words, err, want)
	}
}

// What a template has put in chooses neither a variable nor a command.
func TestInsertedDataStaysWhole(t *testing.T) {
	for _, test := range []struct{ entry, value, want string }{
		{`Q={{.Values.v}}`, `p@ss word`, `Q=p@ss word`},
		{`Q={{.Values.v}}`, `pa$word`, `Q=pa$word`},
		{`Q={{.Values.v}}`, `$(id)`, `Q=$(id)`},
		{"Q={{.Values.v}}", "`id`", "Q=`id`"},
		{`Q={{.Values.v}}`, `$HOME`, `Q=$HOME`},
		{`Q={{.Values.v}}`, `$((1+1))`, `Q=$((1+1))`},
		{`Q={{.Values.v}}`, `'x y'`, `Q=x y`},
		{`Q='{{.Values.v}}'`, `$(id)`, `Q=$(id)`},
		{`Q='{{.Values.v}}'`, `it's`, `Q=it's`},
		{`Q='{{.Values.v}}'`, `x'; id; '`, `Q=x'; id; '`},
		{`"Q={{.Values.v}}"`, `a $(id)`, `Q=a $(id)`},
		{`Q="{{.Values.v}}"`, `a $(id)`, `Q=a $(id)`},
		{`Q="a {{.Values.v}} b"`, `c`, `Q=a c b`},
		{`Q=$HOME/{{.Values.v}}`, `c`, `Q=/acb/home/c`},
		{`Q={{.Values.v | upper}}`, `$(id)`, `Q=$(ID)`},
		{`Q={{.ValuesJSON}}`, `it's $(id)`, `Q={"v":"it's $(id)"}`},
		{`Q={{.Run.Branch}}`, ``, `Q=main;$(id)`},
		{`Q=$Branch`, ``, `Q=main;$(id)`},
	} {
		line, err := readEntry(t, test.entry, test.value)
		if err != nil {
			t.Errorf("%s with %s: %v", test.entry, test.value, err)
			continue
		}
		if got := line.env[1:]; !slices.Equal(got, []string{test.want}) || line.image != "img" {
			t.Errorf("%s with %s: environment %q, image %q; want %q", test.entry, test.value, got, line.image, test.want)
		}
	}
}

func readEntry(t *testing.T, entry, value string) (*runLine, error) {
	t.Helper()
	plan, err := taskfile.Render(t.Context(), taskfile.Input{
		File:   []byte("version: v1.1.0\nsteps:\n- cmd: img arg\n  env:\n  - >-\n    " + entry + "\n"),
		Values: []taskfile.Value{{Name: "v", Value: value}}, Run: taskfile.Run{Branch: "main;$(id)"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return parseRunLine(plan.Steps[0].CommandLine("v"))
}

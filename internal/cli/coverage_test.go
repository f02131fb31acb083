package cli

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jmespath/go-jmespath"
	"github.com/spf13/cobra"
)

// The page lists exactly the commands that are there.
func TestCoveragePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/az-coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	here, missing, ok := strings.Cut(string(text), "## Not there yet")
	if !ok {
		t.Fatal("the page has no section about what is not there yet")
	}
	entry := regexp.MustCompile("(?m)^- `az ([a-z- ]+)`")
	listed := map[string]bool{}
	for _, m := range entry.FindAllStringSubmatch(here, -1) {
		listed[m[1]] = true
	}
	for _, c := range commands() {
		if !listed[c.path] {
			t.Errorf("the page does not list az %s", c.path)
		}
		delete(listed, c.path)
	}
	for path := range listed {
		t.Errorf("the page lists az %s, which is not there", path)
	}
	paths := []string{}
	for _, c := range commands() {
		paths = append(paths, c.path)
	}
	for _, m := range entry.FindAllStringSubmatch(missing, -1) {
		if slices.Contains(paths, m[1]) {
			t.Errorf("the page says that az %s is not there, and it is", m[1])
		}
	}
}

// What is said to be not there yet is not there.
func TestStock(t *testing.T) {
	names := readStock()
	for _, c := range commands() {
		for _, option := range names[c.path] {
			if c.flag(option) != nil {
				t.Errorf("az %s has %s", c.path, option)
			}
		}
		if options, listed := names[c.path]; listed && options == nil {
			t.Errorf("az %s is there", c.path)
		}
	}
	if len(names) < 300 || !names.begins("acr webhook") {
		t.Errorf("%d names", len(names))
	}
}

// Every group says what it is about, and no command has a flag twice.
func TestCommandTree(t *testing.T) {
	env := &environment{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		if cmd.Short == "" {
			t.Errorf("%s says nothing", cmd.CommandPath())
		}
		for _, child := range cmd.Commands() {
			look(child)
		}
	}
	look(newRoot(env)) // a flag that is there twice is a panic
}

// Every command has decided what --output table shows, and the paths of its columns are right.
func TestTables(t *testing.T) {
	for _, c := range commands() {
		if c.table == nil {
			t.Errorf("az %s has no table: give it columns, members or nothing", c.path)
			continue
		}
		heads := map[string]bool{}
		for _, column := range c.table.columns {
			if _, err := jmespath.Compile(column.path); err != nil {
				t.Errorf("az %s, %s: %v", c.path, column.head, err)
			}
			if heads[column.head] {
				t.Errorf("az %s has two columns %s", c.path, column.head)
			}
			heads[column.head] = true
		}
	}
}

// What a table shows of an object that is more than its cells.
func TestTableRows(t *testing.T) {
	identity := document{"principalId": "p", "tenantId": "t", "type": "UserAssigned",
		"userAssignedIdentities": document{"/a": nil, "/b": nil}}
	run := document{"runId": "r1", "startTime": "2026-01-02T03:04:05.1234567Z",
		"finishTime": "2026-01-02T04:05:07Z", "timerTrigger": document{"timerTriggerName": "t1"},
		"runErrorMessage": "a\nb"}
	task := document{"name": "t", "trigger": document{"baseImageTrigger": document{"status": "Enabled"},
		"timerTriggers": []any{document{"status": "Disabled"}, document{"status": "Enabled"}}}}
	tests := []struct {
		name  string
		value any
		t     *table
		query string
		want  string
	}{
		{"identities", identity, identitiesTable, "", "p t UserAssigned /a /b"},
		{"no identities", document{"principalId": "p"}, identitiesTable, "", "p"},
		{"a run", run, runsTable, "", "r1 Timer 2026-01-02T03:04:05Z 01:01:02 a b"},
		{"one of the runs", []any{run}, runsTable, "[0]", "r1 Timer 2026-01-02T03:04:05Z 01:01:02 a b"},
		{"a task", task, tasksTable, "", "t BASE_IMAGE, TIMER"},
		{"logins", document{"b.io": document{"userName": document{"value": "u"}},
			"a.io": document{"identity": "[system]"}}, loginsTable, "", "a.io [system] b.io u"},
		{"tags", document{"properties": document{"tags": document{"b": "2", "a": "1"}}}, tagsTable, "", "a 1 b 2"},
		{"all tags", []any{document{"tagName": "a", "values": []any{document{"tagValue": "1"},
			document{"tagValue": "2"}}}}, tagsTable, "", "a 1, 2"},
		{"referrers", document{"manifests": []any{document{"digest": "d", "size": 1}}}, referrersTable, "", "d 1"},
		{"a page", document{"value": []any{document{"name": "Size", "limit": 5e11}}},
			usageTable, "", "Size 500000000000"},
		{"a password", document{"username": "u", "passwords": []any{document{"name": "password2", "value": "v"}}},
			tokenPasswordsTable, "", "u v Never"},
		{"IDs that are paths", document{"id": "/a", "type": "x/y", "etag": "e", "@odata.type": "o", "name": "n"},
			members, "", "n"},
		{"IDs that are none", document{"id": "0-0", "name": "n"}, members, "", "0-0 n"},
		{"IDs that are asked for", document{"id": "/a", "name": "n"}, members, "{name: name, id: id}", "n /a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			o := output{format: "table", query: tt.query}
			if err := o.print(&b, tt.value, tt.t); err != nil {
				t.Fatal(err)
			}
			rows := strings.SplitN(b.String(), "\n", 3)[2]
			if got := strings.Join(strings.Fields(rows), " "); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// A value without anything for a cell is refused, and not an empty table.
func TestNoTable(t *testing.T) {
	o := output{format: "table"}
	if err := o.print(io.Discard, document{"list": []any{"a"}}, members); err == nil || !strings.Contains(err.Error(), "fit into a table") {
		t.Errorf("got %v", err)
	}
}

func TestSpread(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"repeated", "acr import --name r --image a:1 --image b:2", "acr import --name r --image a:1 --image b:2"},
		{"a positional argument after a repeated flag", "acr build -r r -t a:1 folder", "acr build -r r -t a:1 folder"},
		{"several", "role assignment delete --ids /a /b", "role assignment delete --ids=/a --ids=/b"},
		{"several and others", "role assignment delete --ids /a /b --role x", "role assignment delete --ids=/a --ids=/b --role x"},
		{"an optional flag without values at the end", "acr task create --name t --assign-identity", "acr task create --name t --assign-identity="},
		{"an optional flag without values in the middle", "acr task create --assign-identity --name t", "acr task create --assign-identity= --name t"},
		{"an optional flag with values", "acr task create --assign-identity /a [system]", "acr task create --assign-identity=/a --assign-identity=[system]"},
		{"a value that looks like a flag", "acr run --registry r --cmd -x /dev/null", "acr run --registry r --cmd -x /dev/null"},
		{"several without values is left to the parser", "role assignment delete --ids", "role assignment delete --ids"},
		{"groups", "acr token create --name t --repository a content/read content/write --registry r --repository b content/read", "acr token create --name t --repository=a content/read content/write --registry r --repository=b content/read"},
		{"groups by another name", "acr scope-map update --add a content/read --remove b content/read", "acr scope-map update --add-repository=a content/read --remove-repository=b content/read"},
		{"with an equals sign", "acr import --image=a:1 --name r", "acr import --image=a:1 --name r"},
		{"another spelling", "group show -g x --output tsv", "group show --name x --output tsv"},
		{"another spelling with an equals sign", "rest --uri=/a --method put", "rest --url=/a --method put"},
		{"a yes that is meant", "acr task create --name t --no-push --image a:1", "acr task create --name t --no-push --image a:1"},
		{"a yes that is said", "acr task create --no-push true --name t", "acr task create --no-push=true --name t"},
		{"a no", "acr update --name r --admin-enabled False", "acr update --name r --admin-enabled=False"},
		{"a no before an argument", "acr manifest update-metadata --write-enabled false r.x/a:1", "acr manifest update-metadata --write-enabled=false r.x/a:1"},
		{"an unknown command", "acr frobnicate --image a b", "acr frobnicate --image a b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(spread(commands(), strings.Fields(tt.in)), " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	value := map[string]any{"name": "x", "n": 1, "list": []any{"a", "b"}, "object": map[string]any{"k": nil}, "yes": true}
	tests := []struct{ name, format, query, want string }{
		{"json", "json", "", "{\n  \"list\": [\n    \"a\",\n    \"b\"\n  ],\n  \"n\": 1,\n  \"name\": \"x\",\n  \"object\": {\n    \"k\": null\n  },\n  \"yes\": true\n}\n"},
		{"a query", "json", "list[0]", "\"a\"\n"},
		{"a bare word in a query", "json", "list[?@==`a`] | [0]", "\"a\"\n"},
		{"a number in a query", "json", "list[?`1`==`1`] | [0]", "\"a\"\n"},
		{"a query that finds nothing", "tsv", "nothing", ""},
		{"tsv of an object", "tsv", "", "2\t1\tx\t\tTrue\n"},
		{"tsv of a list", "tsv", "list", "a\nb\n"},
		{"tsv of a text", "tsv", "name", "x\n"},
		{"yaml", "yaml", "object", "k: null\n"},
		{"table", "table", "{Name: name, N: n}", "Name  N\n----  -\nx     1\n"},
		{"table of what fits", "table", "", "N  Name  Yes\n-  ----  ----\n1  x     True\n"},
		{"table of lists", "table", "[[name, n]]", "Column1  Column2\n-------  -------\nx        1\n"},
		{"table of texts", "table", "list", "Result\n------\na\nb\n"},
		{"tsv in the query's order", "tsv", "{Name: name, N: n}", "x\t1\n"},
		{"none", "none", "", ""},
		{"colours", "jsonc", "{a: name}", "{\n  \x1b[94m\"a\"\x1b[0m: \"x\"\n}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			o := output{format: tt.format, query: tt.query}
			if err := o.check(); err != nil {
				t.Fatal(err)
			}
			if err := o.print(&b, value, members); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want {
				t.Errorf("got  %q\nwant %q", b.String(), tt.want)
			}
		})
	}
}

package taskfile

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/reference/task-file.md")

const page = "../../../docs/reference/task-file.md"

// The tables of the page are those of the code.
func TestReferencePage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, table := range map[string]string{"keys": keyTables(), "run": runTable(), "bounds": boundTable()} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		before, rest, found := strings.Cut(want, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("the page has no place for the table of %s", name)
		}
		want = before + begin + table + end + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	diff(t, "page; go test ./internal/tasks/taskfile -run TestReferencePage -update", want, string(text))
}

func keyTables() string {
	var b strings.Builder
	table(&b, "At the top", keys)
	for _, name := range []string{"steps", "volumeMounts", "networks", "volumes", "secrets", "alias"} {
		key := keyNamed(keys, name)
		title := "`" + name + "`"
		if key == nil {
			key = keyNamed(keyNamed(keys, "steps").Members, name)
			title += " of a step"
		}
		table(&b, title, key.Members)
	}
	return b.String()
}

func table(b *strings.Builder, title string, keys []Key) {
	fmt.Fprintf(b, "\n### %s\n\n| key | type | what for |\n| --- | --- | --- |\n", title)
	for _, key := range keys {
		about := key.About
		if len(key.Words) > 0 {
			about += "; one of " + strings.Join(key.Words, ", ")
		}
		about += key.effect()
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", key.Name, key.Type, strings.ReplaceAll(about, "|", `\|`))
	}
	b.WriteString("\n")
}

func runTable() string {
	var names []string
	for _, name := range runNames {
		names = append(names, "`.Run."+name+"`")
	}
	return strings.Join(names, ", ") + "\n"
}

func boundTable() string {
	return fmt.Sprintf("\n| what | at most |\n| --- | --- |\n| a task file | %d MiB |\n| template actions | %d |\n| lines, members and items, rendered | %d |\n| steps | %d |\n| a rendered file, and one with its aliases replaced | %d MiB |\n| time to render | %v |\n| problems that are told | %d |\n\n",
		maxFile>>20, maxActions, maxParts, maxSteps, maxOutput>>20, maxTime, maxFindings)
}

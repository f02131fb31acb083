package compat_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// listCommands prints the commands of the groups that are its arguments.
const listCommands = `
import sys
from azure.cli.core import get_default_cli
cli = get_default_cli()
cli.invocation = cli.invocation_cls(cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls)
for group in sys.argv[1:]:
    for name in cli.invocation.commands_loader.load_command_table([group, "x"]):
        if name.startswith(group + " "):
            print(name)
`

// untried are commands that no script tries, and why.
var untried = map[string]string{
	"acr helm install-cli": "fetches a program from elsewhere",
	"acr helm repo add":    "configures a program that Debian does not have",
	"acr pack build":       "runs an image from elsewhere; the run itself is like any other",

	"ad app permission add":    "crashes in the client: applications here list no permissions",
	"ad app permission delete": "crashes in the client: applications here list no permissions",
	"ad app permission list":   "crashes in the client: applications here list no permissions",
}

// Every command about registries, the directory, identities, roles and tags that the Azure CLI has is
// shown to work or to be refused: nothing is left to chance.
func TestEveryCommandIsTried(t *testing.T) {
	t.Parallel()
	need(t, azProgram)
	dir := t.TempDir()
	check(t, emptyConfig(dir))
	cmd := exec.Command("/usr/bin/python3", "-c", listCommands, "acr", "ad", "identity", "role", "tag")
	cmd.Env, cmd.Stderr = append(append(os.Environ(), azEnviron()...), "AZURE_CONFIG_DIR="+dir), os.Stderr
	listed := must[[]byte](t)(cmd.Output())
	commands := map[string]bool{}
	for name := range strings.Lines(string(listed)) {
		commands[strings.TrimSpace(name)] = true
	}
	if len(commands) < 150 {
		t.Fatalf("only %d commands: %s", len(commands), listed)
	}
	tried := triedCommands(t, commands)
	for name := range commands {
		_, excepted := untried[name]
		if _, ok := tried[name]; ok == excepted {
			t.Errorf("az %s: tried by a script: %t, among those untried: %t", name, ok, excepted)
		}
	}
	for name := range untried {
		if !commands[name] {
			t.Errorf("there is no az %s", name)
		}
	}
	comparePage(t, refusedList(tried))
}

// refusedList lists the commands that no script has seen succeed, by their groups.
func refusedList(tried map[string]bool) string {
	groups := map[string][]string{}
	for name, works := range tried {
		if !works {
			i := strings.LastIndex(name, " ")
			groups[name[:i]] = append(groups[name[:i]], name[i+1:])
		}
	}
	var b strings.Builder
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		slices.Sort(groups[group])
		fmt.Fprintf(&b, "- `az %s`: %s\n", group, strings.Join(groups[group], ", "))
	}
	return b.String()
}

const coveragePage = "../../docs/reference/az-coverage.md"

var update = flag.Bool("update", false, "write the list of refused commands into "+coveragePage)

// comparePage compares the list of the page on coverage, or writes it there.
func comparePage(t *testing.T, want string) {
	t.Helper()
	page := string(must[[]byte](t)(os.ReadFile(coveragePage)))
	before, rest, ok := strings.Cut(page, "<!-- refused -->\n")
	have, after, closed := strings.Cut(rest, "<!-- end -->")
	if !ok || !closed {
		t.Fatalf("%s has no list of what is refused", coveragePage)
	}
	if *update {
		check(t, os.WriteFile(coveragePage, []byte(before+"<!-- refused -->\n"+want+"<!-- end -->"+after), 0o644))
	} else if have != want {
		t.Errorf("%s lists as refused\n%s\nand what is refused is\n%s\n-update writes it anew", coveragePage, have, want)
	}
}

var call = regexp.MustCompile(`(?m)^(! )?(?:exec|eventually) az ([a-z][a-z -]*)`)

// triedCommands finds the commands in the scripts, and whether they ever succeed there.
func triedCommands(t *testing.T, commands map[string]bool) map[string]bool {
	t.Helper()
	var text bytes.Buffer
	for _, file := range must[[]string](t)(filepath.Glob("testdata/*/*.txt")) {
		text.Write(must[[]byte](t)(os.ReadFile(file)))
	}
	tried := map[string]bool{}
	for _, m := range call.FindAllSubmatch(text.Bytes(), -1) {
		words := strings.Fields(string(m[2]))
		for n := len(words); n > 0; n-- {
			if name := strings.Join(words[:n], " "); commands[name] {
				tried[name] = tried[name] || len(m[1]) == 0
				break
			}
		}
	}
	return tried
}

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Where no registry is named, a file is read with a name in its place that no file has by itself,
// so that it can be seen where the file needs one.
const (
	standInName = "acruxnoregistry"
	standIn     = standInName + ".invalid"
)

// withoutStandIn shows the name of the variable where the stand-in is.
var withoutStandIn = strings.NewReplacer(standIn, "$Registry", standInName, "$RegistryName")

const noRegistry = "no registry: $Registry is empty; add --registry NAME"

// needsRegistry says which step names an image, or a registry, that is nothing without a
// registry of the run. A file that asks whether there is one needs none, and neither does one that
// only tells its name. A file that cannot be read is the run's to refuse.
func needsRegistry(ctx context.Context, in taskfile.Input, folder string) (step, name string) {
	in.Secret = func(context.Context, taskfile.Secret) (string, error) { return "secret", nil }
	in.AliasSource, in.ServiceEnv = aliasSource(folder), nil
	in.Run = taskfile.Run{ID: "local", SharedVolume: "acb_vol_local", OS: "linux", Architecture: "amd64"}
	bare, err := taskfile.Render(ctx, in)
	if err != nil {
		return "", ""
	}
	in.Run.Registry, in.Run.RegistryName = standIn, standInName
	given, err := taskfile.Render(ctx, in)
	if err != nil || len(given.Steps) != len(bare.Steps) {
		return "", ""
	}
	shown := preview(given, folder)
	for i := range given.Steps {
		if name := registryNeededBy(&given.Steps[i], shown); name != "" && onlyPutIn(given, bare, i) {
			return given.Steps[i].ID, withoutStandIn.Replace(name)
		}
	}
	return "", ""
}

// onlyPutIn reports whether the name of the registry is all that differs in a step.
func onlyPutIn(given, bare *taskfile.Plan, i int) bool {
	without := strings.NewReplacer(standIn, "", standInName, "")
	words := func(p *taskfile.Plan) []string {
		text := p.Steps[i].CommandLine("") + " " + strings.Join(p.Steps[i].Push, " ")
		return strings.Fields(without.Replace(text))
	}
	return slices.Equal(words(given), words(bare))
}

// registryNeededBy is what a step names of the registry: an image, or the registry where a command
// signs in.
func registryNeededBy(step *taskfile.Step, shown *shownPlan) string {
	for _, image := range slices.Concat(shown.Pulls, shown.Pushes) {
		if strings.Contains(image.Image, standInName) && slices.Contains(image.Steps, step.ID) {
			return image.Image
		}
	}
	words := slices.Concat(strings.Fields(step.CommandLine("")), step.Push)
	for i, word := range words {
		word = strings.Trim(word, `"'`)
		image := strings.Contains(word, standIn+"/") || strings.Contains(strings.ReplaceAll(word, standIn, ""), standInName+".")
		before := words[max(i-1, 0)]
		if image || strings.HasPrefix(word, "--registry="+standInName) ||
			strings.HasPrefix(word, standInName) && slices.Contains([]string{"login", "--registry", "-r"}, before) {
			return word
		}
	}
	return ""
}

// checkRegistry refuses a run that would fail for want of a registry, before anything is executed.
func (r *localRun) checkRegistry(cmd *cobra.Command, in taskfile.Input, folder string) error {
	if r.registry != "" {
		return nil
	}
	if folder == "" || isRemote(folder) {
		folder = os.DevNull // there are no Dockerfiles to look at
	}
	step, name := needsRegistry(cmd.Context(), in, folder)
	if step == "" {
		return nil
	}
	return problem.New(problem.Invalid, "NoRegistry", "%s; the step %s has %s", noRegistry, printable(step), printable(name)).
		Hint("%s --registry NAME", lineOf(cmd))
}

// lineOf is the line that was given, with its secrets left out.
func lineOf(cmd *cobra.Command) string {
	line := cmd.CommandPath()
	for _, arg := range cmd.Flags().Args() {
		line += " " + wordOf(arg)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			if name, _, isPair := strings.Cut(value, "="); isPair && f.Name == "set-secret" {
				value = name + "=SECRET"
			}
			line += fmt.Sprintf(" --%s=%s", f.Name, wordOf(value))
		}
	})
	return line
}

// wordOf is a text as one word of a shell.
func wordOf(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(plainInShell, r) }) {
		return text
	}
	return quote(text)
}

const plainInShell = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_^@=+%,:./-"

// named writes what is shown of a plan, with the variables in place of the stand-ins.
type named struct{ io.Writer }

func (n named) Write(p []byte) (int, error) {
	_, err := withoutStandIn.WriteString(n.Writer, string(p))
	return len(p), err
}

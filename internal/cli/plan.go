package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// planning is acrux plan: what a run of a task file would do.
type planning struct {
	flags  taskFileFlags
	group  string
	task   string
	output string
	file   string
}

func newPlanCommand(env *environment) *cobra.Command {
	var p planning
	cmd := &cobra.Command{Use: "plan [CONTEXT|FILE]", Args: cobra.MaximumNArgs(2), Short: "Show what a run of a task file would do, without doing it",
		Long: "Show what a run of a task file would do: order, commands, networks, volumes, images, and which\nregistries it would ask as whom. CONTEXT is the folder that would be its source, by default the\ncurrent one, with acb.yaml or --file in it; FILE stands for its folder. Also: plan FILE CONTEXT. It needs no server; where somebody is signed in, --registry names one of the server's, and\n--as-task says whose identities and credentials count and which rights they lack.\nThe exit status is 1 if something is missing or would fail."}
	p.flags.add(cmd)
	cmd.Flags().StringVarP(&p.file, "file", "f", "", "task file, in the folder or else from here (default acb.yaml)")
	cmd.Flags().StringVarP(&p.group, "resource-group", "g", "", "resource group of the registry")
	cmd.Flags().StringVar(&p.task, "as-task", "", "name of a task of the registry")
	cmd.Flags().StringVarP(&p.output, "output", "o", "text", "text or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if p.output != "text" && p.output != "json" {
			return invalidArgument("--output %s is neither text nor json", p.output)
		}
		for name, value := range map[string]string{"registry": p.flags.registry, "resource-group": p.group, "as-task": p.task} {
			if !isName(value) {
				return invalidArgument("--%s %s is not a name", name, value)
			}
		}
		return p.run(cmd, env, args)
	}
	return cmd
}

func (p *planning) run(cmd *cobra.Command, env *environment, args []string) error {
	asked, err := p.server(cmd, env)
	if err != nil {
		return err
	}
	file, folder := p.named(args)
	in, err := p.input(env, file, folder, asked)
	if err != nil {
		return err
	}
	plan, err := taskfile.Render(cmd.Context(), in)
	if err != nil {
		return explainFile(file, err)
	}
	shown := preview(plan, folder)
	shown.File, shown.Registry = file, in.Run.Registry
	if err := asked.access(cmd.Context(), shown); err != nil {
		return err
	}
	p.withoutRegistry(cmd.Context(), in, folder, shown)
	if err := p.print(env, shown); err != nil {
		return err
	}
	if shown.fails() {
		return exitError(exitFailed)
	}
	return nil
}

// withoutRegistry says that none is named. A plan has a place for it, which a run has not.
func (p *planning) withoutRegistry(ctx context.Context, in taskfile.Input, folder string, shown *shownPlan) {
	if in.Run.Registry != standIn {
		return
	}
	shown.Registry = ""
	if step, _ := needsRegistry(ctx, in, folder); step != "" {
		shown.Warnings = append(shown.Warnings, noRegistry)
	}
}

// named are the task file and the folder that the arguments name.
func (p *planning) named(args []string) (file, folder string) {
	switch len(args) {
	case 0:
		return taskFileOf(".", p.file)
	case 1:
		return taskFileOf(args[0], p.file)
	}
	return args[0], args[1]
}

// input is what the file is rendered with. Vault secrets are not read.
func (p *planning) input(env *environment, file, folder string, asked *askedServer) (taskfile.Input, error) {
	if isRemote(folder) {
		folder = folderOf(file) // a remote source is not fetched
	}
	in, err := p.flags.input(env, file, folder, asked.loginServer)
	in.Run.TaskName = p.task
	in.Secret = func(_ context.Context, secret taskfile.Secret) (string, error) { return "secret_" + secret.ID, nil }
	read := in.AliasSource
	in.AliasSource = func(ctx context.Context, src string) ([]byte, error) {
		text, err := read(ctx, src)
		if errors.Is(err, taskfile.ErrNotRead) {
			fmt.Fprintf(env.stderr, "note: the aliases of %s are not read, and stay as they are\n", src)
			return nil, nil
		}
		return text, err
	}
	return in, err
}

// explainFile says where in a file its error is.
func explainFile(file string, err error) error {
	text := err.Error()
	var placed *taskfile.Error
	if errors.As(err, &placed) {
		file = fmt.Sprintf("%s:%d:%d", file, placed.Line, placed.Column)
	}
	text = withoutStandIn.Replace(printable(text))
	return problem.New(problem.Invalid, "InvalidTaskFile", "%s: %s", file, text).Hint("acrux lint names all that is wrong with it")
}

// shownPlan is a plan as it is shown.
type shownPlan struct {
	File       string          `json:"file"`
	Registry   string          `json:"registry"` // empty if none is named
	Version    string          `json:"version"`
	Levels     [][]string      `json:"levels"`
	Edges      []shownEdge     `json:"edges"`
	Steps      []shownStep     `json:"steps"`
	Networks   []shownNetwork  `json:"networks"`
	Volumes    []shownVolume   `json:"volumes"`
	Pulls      []shownImage    `json:"pulls"`
	Pushes     []shownImage    `json:"pushes"`
	Registries []shownRegistry `json:"registries"`
	Warnings   []string        `json:"warnings,omitempty"`
}

type shownEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// shownStep is a step. Durations are in seconds; what is at its default is left out.
type shownStep struct {
	ID            string   `json:"id"`
	Kind          string   `json:"kind"`
	After         []string `json:"after"`
	Command       string   `json:"command,omitempty"`
	Images        []string `json:"images,omitempty"` // that a push step pushes, or a build makes
	Bases         []string `json:"bases,omitempty"`  // of a build
	Dockerfile    string   `json:"dockerfile,omitempty"`
	Context       string   `json:"context,omitempty"`
	Timeout       int      `json:"timeout"`
	StartDelay    int      `json:"startDelay,omitempty"`
	Retries       int      `json:"retries,omitempty"`
	RetryDelay    int      `json:"retryDelay,omitempty"`
	RetryOnErrors []string `json:"retryOnErrors,omitempty"`
	Repeat        int      `json:"repeat,omitempty"`
	IgnoreErrors  bool     `json:"ignoreErrors,omitempty"`
	Pull          bool     `json:"pull,omitempty"`
	PullRetries   int      `json:"cmdDownloadRetries,omitempty"`
	PullDelay     int      `json:"cmdDownloadRetryDelay,omitempty"`
	Cache         string   `json:"cache,omitempty"`
	Fails         string   `json:"fails,omitempty"` // how it will fail, as far as it is known
	Unknown       string   `json:"unknown,omitempty"`
}

type shownNetwork struct {
	Name    string `json:"name"`
	Driver  string `json:"driver,omitempty"`
	IPv6    bool   `json:"ipv6,omitempty"`
	Exists  bool   `json:"skipCreation,omitempty"`
	Default bool   `json:"isDefault,omitempty"`
}

type shownVolume struct {
	Name  string   `json:"name"`
	Files []string `json:"files"`
}

type shownImage struct {
	Image string   `json:"image"`
	Steps []string `json:"steps"`
}

// shownRegistry is a registry that the run would ask. Missing are the rights that it
// would need and has not, Fixes the commands that would give them.
type shownRegistry struct {
	Server  string   `json:"server"`
	Pull    bool     `json:"pull"`
	Push    bool     `json:"push"`
	As      string   `json:"as"`
	Rights  string   `json:"rights"` // "present", "missing", "not known" or "not checked"
	Missing []string `json:"missing,omitempty"`
	Fixes   []string `json:"fixes,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// fails reports whether it is known that the run would fail.
func (s *shownPlan) fails() bool {
	return slices.ContainsFunc(s.Steps, func(step shownStep) bool { return step.Fails != "" }) ||
		slices.ContainsFunc(s.Registries, func(r shownRegistry) bool { return r.Rights == rightsMissing })
}

func (p *planning) print(env *environment, shown *shownPlan) error {
	if p.output == "json" {
		return printJSON(named{env.stdout}, shown, false)
	}
	var b strings.Builder
	shown.text(&b)
	_, err := fmt.Fprint(named{env.stdout}, printable(b.String()))
	return err
}

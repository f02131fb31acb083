package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/nearest"
)

// command is a client command.
type command struct {
	path  string // "acr task create"
	short string
	flags []flag
	args  string // name of a positional argument, or empty
	run   func(ctx context.Context, c *call) (any, error)
	// offline commands get no client: they must work when there can be none.
	offline bool
	table   *table // what --output table shows; every command has one
}

// flagKind is what follows a flag.
type flagKind int

const (
	text     flagKind = iota // one value
	toggle                   // none
	yesno                    // true or false, or none, which is true
	list                     // one value, and the flag may be repeated: --image a --image b
	several                  // one or more values: --ids a b
	optional                 // none or more values: --assign-identity [ids]
	groups                   // one or more values, and the flag may be repeated: --repository a content/read --repository b content/read
)

// flag is a flag of a command.
type flag struct {
	name     string
	short    string // one letter, or empty
	kind     flagKind
	required bool
	help     string
	fallback string // default of a text
	path     bool   // a name that may have slashes
	also     string // other spellings of the flag, with dashes
	values   string // all that it may be, if these are few, parted by blanks
}

// check returns the value of a flag as it is written in the list of those it may have.
func (f flag) check(value string) (string, error) {
	all := strings.Fields(f.values)
	if len(all) == 0 || value == "" {
		return value, nil
	}
	if i := slices.IndexFunc(all, func(v string) bool { return strings.EqualFold(v, value) }); i >= 0 {
		return all[i], nil
	}
	text := fmt.Sprintf("--%s %s is none of %s", f.name, value, strings.Join(all, ", "))
	if meant := nearest.Word(value, all); meant != "" {
		text += fmt.Sprintf("; did you mean %s?", meant)
	}
	return "", invalidArgument("%s", text)
}

// usage is what the help says of a flag.
func (f flag) usage() string {
	text := f.help
	if all := strings.Fields(f.values); len(all) > 0 {
		words := strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
		text = strings.TrimPrefix(text+": "+words, ": ")
	}
	if f.required {
		text += " (required)"
	}
	return text
}

func isYesNo(text string) bool {
	return strings.EqualFold(text, "true") || strings.EqualFold(text, "false")
}

// call is a command being executed.
type call struct {
	*environment
	client *client.Client
	cmd    *cobra.Command
	args   []string
	quiet  bool // says nothing but errors beside the output
}

// text returns the value of a text flag.
func (c *call) text(name string) string {
	value, _ := c.cmd.Flags().GetString(name) // the table has it
	return value
}

func (c *call) toggle(name string) bool {
	value, _ := c.cmd.Flags().GetBool(name) // the table has it
	return value
}

// yes returns the value of a yesno flag.
func (c *call) yes(name string) bool { return strings.EqualFold(c.text(name), "true") }

// list returns the values of a flag that may have several, without empty ones.
func (c *call) list(name string) []string {
	values, _ := c.cmd.Flags().GetStringArray(name) // the table has it
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
}

// given reports whether a flag stood on the command line.
func (c *call) given(name string) bool { return c.cmd.Flags().Changed(name) }

// warn tells something that is not the command's output.
func (c *call) warn(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.stderr, format+"\n", args...)
	}
}

// checkNames refuses what an empty variable of a script leaves of a required flag, and
// names that would lead a request somewhere else: they become parts of its path.
func (c *call) checkNames(flags []flag) error {
	for _, f := range flags {
		value := c.text(f.name)
		if f.required && f.kind == text && value == "" {
			return invalidArgument("--%s is empty", f.name)
		}
		canonical, err := f.check(value)
		if err != nil {
			return err
		}
		if canonical != value {
			_ = c.cmd.Flags().Set(f.name, canonical) // a text takes any value
		}
		if f.kind == yesno && value != "" && !isYesNo(value) {
			return invalidArgument("--%s %s is neither true nor false", f.name, value)
		}
		switch f.name {
		case "name", "resource-group", "registry", "run-id":
			if f.path || strings.HasPrefix(value, "/") && f.name == "registry" {
				continue // a repository, or a resource ID
			}
			if !isName(value) {
				return invalidArgument("--%s %s is not a name", f.name, value)
			}
		}
	}
	return nil
}

// isName reports whether a text stays one part of a path.
func isName(text string) bool {
	return !strings.ContainsAny(text, "/?#%\\") && text != "." && text != ".."
}

// addClientCommands builds the tree of commands from the table.
func addClientCommands(root *cobra.Command, env *environment) {
	for _, spec := range commands() {
		words := strings.Fields(spec.path)
		group := root
		for _, word := range words[:len(words)-1] {
			group = subgroup(group, word)
		}
		group.AddCommand(newClientCommand(env, spec, words[len(words)-1]))
	}
}

func subgroup(parent *cobra.Command, word string) *cobra.Command {
	for _, cmd := range parent.Commands() {
		if cmd.Name() == word {
			return cmd
		}
	}
	cmd := &cobra.Command{Use: word, Short: groupShorts[strings.TrimSpace(strings.TrimPrefix(parent.CommandPath()+" "+word, parent.Root().Name()))]}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return cmd.Help() }
	parent.AddCommand(cmd)
	return cmd
}

// groupShorts say what the commands of a group are about.
var groupShorts = map[string]string{
	"account":                       "The subscription, and tokens",
	"acr":                           "Registries, their images and their tasks",
	"acr agentpool":                 "Pools of agents that runs wait for",
	"acr config":                    "Policies of a registry",
	"acr config retention":          "How long manifests without a tag stay",
	"acr config soft-delete":        "How long what was deleted can be restored",
	"acr credential":                "The admin user of a registry",
	"acr identity":                  "Identities of a registry",
	"acr manifest":                  "Manifests and artifacts",
	"acr repository":                "Repositories and images",
	"acr scope-map":                 "What tokens may do",
	"acr task":                      "Tasks and their runs",
	"acr task credential":           "How a task logs in to other registries",
	"acr task identity":             "Identities of a task",
	"acr task timer":                "Timers of a task",
	"acr taskrun":                   "Runs that are resources",
	"acr token":                     "Users of a registry for some of its repositories",
	"acr token credential":          "Passwords of a token",
	"ad":                            "The directory: users, applications, service principals",
	"ad app":                        "Applications",
	"ad signed-in-user":             "Who is signed in",
	"ad sp":                         "Service principals",
	"ad user":                       "Users",
	"group":                         "Resource groups",
	"identity":                      "User-assigned identities",
	"identity federated-credential": "Other issuers' tokens for an identity",
	"resource":                      "Resources of any type",
	"role":                          "Who may do what",
	"role assignment":               "Roles that were given",
	"role definition":               "Roles there are",
	"tag":                           "Tags of resources",
}

// common are the flags of every client command, besides those of its output.
type common struct {
	subscription string
	quiet        bool
	verbose      bool
}

func (o *common) add(cmd *cobra.Command) {
	if cmd.Flags().Lookup("subscription") == nil {
		cmd.Flags().StringVar(&o.subscription, "subscription", "", "ID or name of the subscription")
	}
	cmd.Flags().BoolVar(&o.quiet, "only-show-errors", false, "say nothing but errors beside the output")
	cmd.Flags().BoolVar(&o.verbose, "verbose", false, "tell the requests that are made")
	cmd.Flags().BoolVar(&o.verbose, "debug", false, "the same as --verbose")
}

// apply lets the flags count for a call.
func (o *common) apply(c *call) error {
	c.quiet = o.quiet
	if c.client == nil {
		return nil
	}
	if o.verbose {
		c.client.Trace = func(method, url string, status int, took time.Duration) {
			fmt.Fprintf(c.stderr, "%s %s: %d in %s\n", method, url, status, took.Round(time.Millisecond))
		}
	}
	if o.subscription != "" && !strings.EqualFold(o.subscription, c.client.Subscription) && o.subscription != subscriptionName {
		return problem.New(problem.NotFound, "SubscriptionNotFound", "the subscription '%s' doesn't exist here", o.subscription).Hint("az account list")
	}
	return nil
}

// subscriptionName is the name of the one subscription a server has.
const subscriptionName = "Acrux"

func newClientCommand(env *environment, spec command, word string) *cobra.Command {
	cmd := &cobra.Command{Use: word, Short: spec.short, Args: positional(spec)}
	if spec.args != "" {
		cmd.Use += " [" + spec.args + "]"
	}
	for _, f := range spec.flags {
		f.add(cmd)
	}
	var out output
	out.add(cmd)
	var shared common
	shared.add(cmd)
	complete(env, spec, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		c := &call{environment: env, cmd: cmd, args: args}
		err := c.checkNames(spec.flags)
		if err == nil && !spec.offline {
			c.client, err = env.newClient()
		}
		if err != nil {
			return err
		}
		if err := shared.apply(c); err != nil {
			return err
		}
		return env.interruptible(cmd.Context(), "Canceled", func(ctx context.Context) error {
			value, err := spec.run(ctx, c)
			if err != nil {
				return c.meant(ctx, spec, err)
			}
			return out.print(env.stdout, value, spec.table)
		})
	}
	return cmd
}

func (f flag) add(cmd *cobra.Command) {
	switch f.kind {
	case text:
		cmd.Flags().StringP(f.name, f.short, f.fallback, f.usage())
	case toggle:
		cmd.Flags().BoolP(f.name, f.short, false, f.usage())
	case yesno:
		cmd.Flags().StringP(f.name, f.short, f.fallback, f.usage())
		cmd.Flags().Lookup(f.name).NoOptDefVal = "true"
	case list, several, optional, groups:
		cmd.Flags().StringArrayP(f.name, f.short, nil, f.usage())
	}
	if f.required {
		_ = cmd.MarkFlagRequired(f.name) // the flag was just added
	}
}

// spread rewrites arguments for a parser that wants one value for each flag:
// "--ids a b" becomes "--ids=a --ids=b", a group "--repository=a b", an optional flag without values gets an empty
// one, and "--no-push false" becomes "--no-push=false".
func spread(table []command, args []string) []string {
	spec := find(table, args)
	if spec == nil {
		return args
	}
	var out []string
	for i := 0; i < len(args); i++ {
		f := spec.flag(args[i])
		arg := f.spelled(args[i])
		if f != nil && f.kind == yesno {
			// Where the command takes no argument, what follows can only be a value.
			if i+1 < len(args) && !strings.Contains(arg, "=") && (isYesNo(args[i+1]) || spec.args == "" && !strings.HasPrefix(args[i+1], "-")) {
				i++
				arg = "--" + f.name + "=" + args[i]
			}
			out = append(out, arg)
			continue
		}
		if f == nil || f.kind < several || strings.HasPrefix(args[i], "--") && strings.Contains(args[i], "=") {
			out = append(out, arg)
			if f != nil && f.kind != toggle && f.kind < several && !strings.Contains(args[i], "=") && i+1 < len(args) {
				i++
				out = append(out, args[i]) // a value, even if it looks like a flag
			}
			continue
		}
		n := 0
		for i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i, n = i+1, n+1
			if f.kind == groups && n > 1 {
				out[len(out)-1] += " " + args[i]
				continue
			}
			out = append(out, "--"+f.name+"="+args[i])
		}
		if n == 0 && f.kind == optional {
			out = append(out, "--"+f.name+"=")
		} else if n == 0 {
			out = append(out, "--"+f.name) // the parser says that a value is missing
		}
	}
	return out
}

// find returns the command whose path the arguments begin with.
func find(table []command, args []string) *command {
	for i := range table {
		words := strings.Fields(table[i].path)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return &table[i]
		}
	}
	return nil
}

// spelled is an argument that names the flag by its first name, if it does by another.
func (f *flag) spelled(arg string) string {
	name, value, given := strings.Cut(arg, "=")
	if f == nil || !slices.Contains(strings.Fields(f.also), name) {
		return arg
	}
	if given {
		return "--" + f.name + "=" + value
	}
	return "--" + f.name
}

func (c *command) flag(arg string) *flag {
	name, _, _ := strings.Cut(arg, "=")
	for i, f := range c.flags {
		if name == "--"+f.name || f.short != "" && name == "-"+f.short || slices.Contains(strings.Fields(f.also), name) {
			return &c.flags[i]
		}
	}
	for _, shared := range []string{"--query", "--output", "-o", "--subscription"} {
		if name == shared {
			return &flag{name: strings.TrimLeft(shared, "-"), kind: text}
		}
	}
	return nil
}

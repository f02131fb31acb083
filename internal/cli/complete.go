package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/nearest"
)

// lister asks the server for the names that an option may have.
type lister func(ctx context.Context, c *call) ([]string, error)

// listerOf says what an option of a command names; it is nil if that is nothing the server
// has a list of.
func listerOf(path, option string) lister {
	if option == "name" {
		switch group, _, _ := strings.Cut(strings.TrimPrefix(path, "acr "), " "); {
		case strings.HasPrefix(path, "group "):
			option = "resource-group"
		case !strings.HasPrefix(path, "acr ") || path == "acr create" || path == "acr check-name":
		case group == "task" || group == "token" || group == "scope-map" || group == "agentpool" || group == "taskrun":
			option = group
		default:
			option = "registry"
		}
	}
	switch option {
	case "resource-group":
		return inSubscription("/resourcegroups", groupsVersion)
	case "registry":
		return inSubscription("/providers/"+registryKind.String(), registriesVersion)
	case "role":
		return inSubscription(authorization+"/roleDefinitions", rolesVersion)
	case "task":
		return children("tasks", tasksVersion)
	case "taskrun":
		return children("taskRuns", tasksVersion)
	case "agentpool", "agent-pool":
		return children("agentPools", tasksVersion)
	case "token":
		return children("tokens", registriesVersion)
	case "scope-map":
		return children("scopeMaps", registriesVersion)
	}
	return nil
}

// inSubscription lists what there is at a path of the subscription.
func inSubscription(path, version string) lister {
	return func(ctx context.Context, c *call) ([]string, error) {
		return c.names(ctx, c.subscription().String()+path, version)
	}
}

// children lists what a registry has of a kind.
func children(kind, version string) lister {
	return func(ctx context.Context, c *call) ([]string, error) {
		id, err := c.findRegistry(ctx, c.text("registry"))
		if err != nil {
			return nil, err
		}
		return c.names(ctx, id.String()+"/"+kind, version)
	}
}

func (c *call) names(ctx context.Context, path, version string) ([]string, error) {
	all, err := c.listAll(ctx, path, version)
	var names []string
	for _, doc := range all {
		name, _ := doc["name"].(string)
		if properties, ok := doc["properties"].(document); ok && properties["roleName"] != nil {
			name, _ = properties["roleName"].(string)
		}
		names = append(names, name)
	}
	return names, err
}

// completionTime bounds what the shell waits for while somebody types.
const completionTime = 2 * time.Second

// complete lets the shell complete the values of a command's options: those that are fixed,
// and names. Where the server does not answer there are none.
func complete(env *environment, spec command, cmd *cobra.Command) {
	for _, f := range spec.flags {
		values := strings.Fields(f.values)
		if f.kind == yesno {
			values = []string{"true", "false"}
		}
		list := listerOf(spec.path, f.name)
		if len(values) == 0 && list == nil {
			continue
		}
		completeFlag(cmd, f.name, func(cmd *cobra.Command) []string {
			if list != nil {
				return env.ask(cmd, list)
			}
			return values
		})
	}
	completeFlag(cmd, "output", func(*cobra.Command) []string { return formats })
}

func completeFlag(cmd *cobra.Command, name string, values func(*cobra.Command) []string) {
	complete := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return values(cmd), cobra.ShellCompDirectiveNoFileComp
	}
	_ = cmd.RegisterFlagCompletionFunc(name, complete) // the flag is there, and nobody else completes it
}

func (e *environment) ask(cmd *cobra.Command, list lister) []string {
	c := &call{environment: e, cmd: cmd}
	var err error
	if c.client, err = e.newClient(); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	names, _ := list(ctx, c)
	return names
}

// meant adds to the error of a call what its names were probably meant to be.
func (c *call) meant(ctx context.Context, spec command, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) || p.Kind != problem.NotFound {
		return err
	}
	for _, option := range []string{"registry", "name", "role"} {
		list := listerOf(spec.path, option)
		if list == nil || !c.given(option) {
			continue
		}
		names, listErr := list(ctx, c)
		if listErr != nil {
			return err // what is wrong is told already
		}
		if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, c.text(option)) }) {
			continue
		}
		if right := nearest.Word(c.text(option), names); right != "" {
			return p.Hint("did you mean --%s '%s'?", option, right)
		}
		return err
	}
	return err
}

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/daemon"
)

func newAdminCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "admin", Short: "What an administrator does on the machine of the server"}
	cmd.AddCommand(newForgetCommand(env), newRotateCommand(env), newCreateUserCommand(env), newInviteCommand(env), newUsageCommand(env))
	return cmd
}

// wayBack is how somebody gets in who has no secret of the administrator.
const wayBack = "acrux admin rotate-secret --data %[1]s, or acrux admin create-user NAME@DOMAIN --owner --data %[1]s"

func newForgetCommand(env *environment) *cobra.Command {
	var data string
	var yes bool
	forget := &cobra.Command{Use: "forget-secret", Args: cobra.NoArgs,
		Short: "Remove the clear copy of the administrator's secret from the data directory"}
	forget.Flags().StringVar(&data, "data", "", dataHelp)
	forget.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	forget.RunE = func(*cobra.Command, []string) error {
		dir, err := env.dataDir(data)
		if err != nil {
			return err
		}
		if admin, err := daemon.ReadAdmin(dir); err == nil && admin.Secret == "" {
			fmt.Fprintln(env.stdout, "There was no clear copy any more.")
			return nil
		}
		what := "This removes the only clear copy of the administrator's secret; " +
			"without it acrux env --data " + dir + " signs nobody in."
		if err := env.confirm(yes, what); err != nil {
			return err
		}
		if _, err := daemon.ForgetSecret(dir); err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, "The clear copy is removed; the secret itself still counts.")
		fmt.Fprintf(env.stdout, "The way back in: "+wayBack+"\n", dir)
		return nil
	}
	return forget
}

// confirm asks for a yes.
func (e *environment) confirm(yes bool, what string) error {
	if yes {
		return nil
	}
	if !isTerminal(e.stdin) {
		return usageError{fmt.Errorf("%s Confirm with --yes", what)}
	}
	fmt.Fprintf(e.stderr, "%s Are you sure? (y/n): ", what)
	defer e.signals.whileReading(nil)()
	line, err := bufio.NewReader(e.stdin).ReadString('\n')
	if err != nil || !saysYes(line) {
		return errors.New("not confirmed; nothing was done")
	}
	return nil
}

// saysYes reads the answer to a question that ends with (y/n).
func saysYes(line string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y")
}

func newRotateCommand(env *environment) *cobra.Command {
	var at place
	cmd := &cobra.Command{Use: "rotate-secret", Args: cobra.NoArgs,
		Short: "Give the administrator another secret; the one before does not count any more"}
	at.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := at.load(env)
		if err != nil {
			return err
		}
		admin, err := daemon.RotateSecret(cmd.Context(), config)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "The administrator %s has another secret, in %s/keys/admin.json.\n", admin.ClientID, config.Data)
		fmt.Fprintln(env.stdout, "Those before do not count any more, but for tokens that were given for them, until these end.")
		fmt.Fprintf(env.stdout, "For this shell: eval \"$(acrux env --data %s)\"\n", config.Data)
		return nil
	}
	return cmd
}

// newCreateUserCommand makes users. Their passwords are no arguments: those are seen by
// everybody on the machine and kept in the history of shells.
func newCreateUserCommand(env *environment) *cobra.Command {
	var at place
	var user daemon.NewUser
	cmd := &cobra.Command{Use: "create-user NAME@DOMAIN", Args: cobra.ExactArgs(1),
		Short: "Make a user, whose password is asked for or read from the standard input"}
	at.add(cmd)
	cmd.Flags().StringVar(&user.DisplayName, "display-name", "", "name that is shown (default NAME@DOMAIN)")
	cmd.Flags().BoolVar(&user.Owner, "owner", false, "make the user an owner of everything")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		config, err := at.load(env)
		if err != nil {
			return err
		}
		user.Name = args[0]
		if user.DisplayName == "" {
			user.DisplayName = user.Name
		}
		return env.interruptible(cmd.Context(), "Canceled", func(ctx context.Context) error {
			return createAdminUser(ctx, env, config, user)
		})
	}
	return cmd
}

func createAdminUser(ctx context.Context, env *environment, config daemon.Config, user daemon.NewUser) (err error) {
	if user.Password, err = env.newPassword(user.Name); err != nil {
		return err
	}
	id, err := daemon.CreateUser(ctx, config, user)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%s has the object ID %s.\n", user.Name, id)
	if !user.Owner {
		fmt.Fprintf(env.stdout, "There are no rights yet: "+
			"az role assignment create --assignee %s --role Reader --scope SCOPE\n", id)
	}
	return nil
}

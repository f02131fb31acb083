package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/daemon"
)

// newInviteCommand prints the line by which somebody at another machine signs in: a user who
// is invited and chooses a password, or without a name whoever can sign in already. The line
// alone is on the standard output.
func newInviteCommand(env *environment) *cobra.Command {
	var at place
	var user daemon.NewUser
	var server string
	cmd := &cobra.Command{Use: "invite [NAME@DOMAIN]", Args: cobra.MaximumNArgs(1),
		Short: "Print the line by which a colleague signs in from another machine; with a name it makes the user"}
	at.add(cmd)
	cmd.Flags().StringVar(&server, "server", "", "HOST:PORT at which the colleague reaches this server (default: where it listens)")
	cmd.Flags().StringVar(&user.DisplayName, "display-name", "", "name that is shown (default NAME@DOMAIN)")
	cmd.Flags().BoolVar(&user.Owner, "owner", false, "make the user an owner of everything")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		config, err := at.load(env)
		if err != nil {
			return err
		}
		line, err := signInLine(env, config, server)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			fmt.Fprintln(env.stdout, line)
			return nil
		}
		user.Name = args[0]
		if user.DisplayName == "" {
			user.DisplayName = user.Name
		}
		return invite(cmd.Context(), env, config, user, line)
	}
	return cmd
}

func invite(ctx context.Context, env *environment, config daemon.Config, user daemon.NewUser, line string) error {
	i, err := daemon.Invite(ctx, config, user)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%s --invitation %s\n", line, i.Code.Reveal())
	fmt.Fprintf(env.stderr, "Who pastes this line chooses the password of %s and is signed in. It counts once, until %s.\n",
		i.User.UserName, i.Expires.UTC().Format(time.RFC3339))
	if i.New && !user.Owner {
		fmt.Fprintf(env.stderr, "There are no rights yet: az role assignment create --assignee %s --role Reader --scope SCOPE\n",
			i.User.UserName)
	}
	return nil
}

// signInLine is how the server of a data directory is found and known elsewhere.
func signInLine(env *environment, config daemon.Config, server string) (string, error) {
	pub, err := daemon.ReadPublished(config.Data)
	if err != nil {
		return "", noServerYet(config.Data, err)
	}
	ca, err := os.ReadFile(pub.CABundle)
	if err != nil {
		return "", err
	}
	fingerprint, err := client.Fingerprint(ca)
	if err != nil {
		return "", fmt.Errorf("%s: %w", pub.CABundle, err)
	}
	address := ""
	if server == "" {
		address = elsewhere(env, pub)
	} else if address, err = client.ServerAddress(server); err != nil {
		return "", invalidArgument("--server '%s' is no address of a server, HOST:PORT", server)
	}
	noteLocalhost(env, pub, address)
	return fmt.Sprintf("acrux login --server %s --fingerprint %s", address, fingerprint), nil
}

// noteLocalhost tells of names that mean another machine elsewhere, whatever a hosts file says
// there (RFC 6761, section 6.3): a code cannot be typed at the page that clients name.
func noteLocalhost(env *environment, pub daemon.Published, address string) {
	if net.ParseIP(hostOf(address)).IsLoopback() || !strings.HasSuffix("."+pub.Domain, ".localhost") {
		return
	}
	env.note("browsers take login.%s for their own machine, so nobody signs in with a code elsewhere; "+
		"acrux serve --domain DOMAIN --change-domain gives the server other names", pub.Domain)
}

// elsewhere is an address by which other machines reach a server: of one that listens at all
// of them, the first that others can know.
func elsewhere(env *environment, pub daemon.Published) string {
	host, _, _ := net.SplitHostPort(pub.Listen)
	_, port, _ := net.SplitHostPort(pub.Address) // the server wrote it
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		addresses, _ := net.InterfaceAddrs() // without any there is only this machine
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				return net.JoinHostPort(n.IP.String(), port)
			}
		}
	}
	if ip := net.ParseIP(hostOf(pub.Address)); ip.IsLoopback() {
		fmt.Fprintf(env.stderr, "note: the server listens at %s, which only this machine reaches; "+
			"acrux serve --listen ADDRESS:%s, or name with --server what forwards to it\n", pub.Address, port)
	}
	return pub.Address
}

func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/secret"
)

// chosenServer is the server to sign in at: the one of --server, or else of the environment,
// or of the login before.
func (c *call) chosenServer(ctx context.Context, dir string) (client.Profile, error) {
	server, fingerprint := c.text("server"), c.text("fingerprint")
	if server == "" {
		if fingerprint != "" {
			return client.Profile{}, invalidArgument("--fingerprint needs --server")
		}
		p, err := c.profile(dir)
		if server = c.runServer(); err == nil || server == "" {
			return p, err
		}
	}
	known := authoritiesIn(dir)
	found, err := client.Discover(ctx, server, fingerprint != "", func(shown string) error {
		return c.trust(known, server, shown)
	})
	if err != nil || found.CA == nil {
		return found.Profile, err
	}
	found.Profile.CABundle, err = known.keep(found.CA)
	return found.Profile, err
}

// runServer is where the server is that a step of a run belongs to; empty elsewhere. Steps trust
// its authority.
func (e *environment) runServer() string {
	if e.getenv("ACR_TASK_HOSTED") == "" {
		return ""
	}
	return e.getenv("ACR_DEFAULT_REGISTRY")
}

// trust decides whether the authority of a server, of which the fingerprint is shown, is the
// right one: it was given, or was trusted before, or somebody says so.
func (c *call) trust(known authorities, server, shown string) error {
	given := strings.ToLower(strings.TrimSpace(c.text("fingerprint")))
	switch {
	case given == shown:
		return nil
	case given != "":
		return problem.New(problem.Denied, "OtherAuthority", "the authority of %s has the fingerprint %s, not %s: "+
			"it is another server, or somebody is in between", server, shown, given).
			Hint("acrux admin invite, on the machine of the server, prints the right one")
	case known.has(shown):
		return nil
	}
	fmt.Fprintf(c.stderr, "The authority of %s is not known here. Its fingerprint is\n    %s\n"+
		"On the machine of the server, acrux admin invite prints the right one.\n", server, shown)
	if !isTerminal(c.stdin) {
		return usageError{errors.New("nobody can be asked; confirm with --fingerprint, if it is the same")}
	}
	return c.environment.confirm(false, "The commands that follow will trust it.")
}

// authorities is the folder of those that were trusted, each in a file of its fingerprint.
type authorities string

func authoritiesIn(config string) authorities {
	return authorities(filepath.Join(config, "authorities"))
}

func (a authorities) file(fingerprint string) string {
	return filepath.Join(string(a), strings.TrimPrefix(fingerprint, "sha256:")+".crt")
}

func (a authorities) has(fingerprint string) bool {
	_, err := os.Stat(a.file(fingerprint))
	return err == nil
}

// keep writes an authority, and returns the file.
func (a authorities) keep(ca []byte) (string, error) {
	fingerprint, err := client.Fingerprint(ca)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(string(a), 0o700); err != nil {
		return "", err
	}
	return a.file(fingerprint), secret.WriteFile(a.file(fingerprint), ca)
}

// accept chooses the password of a user who was invited, who is signed in with it then.
func (c *call) accept(ctx context.Context, fresh *client.Client) error {
	password, err := c.newPassword("the user who was invited, a new one")
	if err != nil {
		return err
	}
	if err := fresh.AcceptInvitation(ctx, secret.New(c.text("invitation")), password); err != nil {
		return err
	}
	return fresh.SignInUser(ctx, password)
}

// noteEnvironment tells of variables that another server's acrux env has set and that do not
// count, since somebody signed in.
func (e *environment) noteEnvironment(last client.Profile) {
	var differ []string
	if address := e.getenv("ACRUX_ADDRESS"); address != "" && address != last.Address {
		differ = append(differ, "ACRUX_ADDRESS")
	}
	if bundle := e.getenv("CA_BUNDLE"); bundle != "" && !sameContent(bundle, last.CABundle) {
		differ = append(differ, "CA_BUNDLE")
	}
	if len(differ) > 0 {
		names := strings.Join(differ, " ")
		fmt.Fprintf(e.stderr, "note: the last login, at %s, counts; of the environment %s is another and does not: "+
			"unset %s, or acrux login --server HOST:PORT\n", last.Management, names, names)
	}
}

// sameContent reports whether two files are one, or say the same.
func sameContent(a, b string) bool {
	if a == b {
		return true
	}
	first, err := os.ReadFile(a)
	if err != nil {
		return false
	}
	second, err := os.ReadFile(b)
	return err == nil && bytes.Equal(first, second)
}

package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/daemon"
)

// version is what this program is.
type version struct {
	Version  string `json:"acrux"`
	Commit   string `json:"commit,omitempty"`
	Changed  bool   `json:"changed,omitempty"` // since that commit
	Schema   int64  `json:"schema"`            // of the database
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// readVersion reads what Go's linker has noted.
func readVersion() version {
	v := version{Version: "unknown", Schema: daemon.Schema(), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Commit = setting.Value
		case "vcs.modified":
			v.Changed = setting.Value == "true"
		}
	}
	return v
}

func newVersionCommand(env *environment) *cobra.Command {
	var out output
	cmd := &cobra.Command{Use: "version", Args: cobra.NoArgs, Short: "Print the version of this program",
		Long: "Print the version of this program, the commit it was made from, and the schema of the database\n" +
			"that it works with: a program does not start on the database of a newer one."}
	out.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		v := readVersion()
		if cmd.Flags().Changed("output") || cmd.Flags().Changed("query") {
			return out.print(env.stdout, v, nil)
		}
		commit, changed := v.Commit, ""
		if commit == "" {
			commit = "unknown"
		}
		if v.Changed {
			changed = ", changed since"
		}
		_, err := fmt.Fprintf(env.stdout, "acrux %s\ncommit %s%s\nschema %d\n%s %s\n",
			v.Version, commit, changed, v.Schema, v.Go, v.Platform)
		return err
	}
	return cmd
}

package cli

import (
	"fmt"
	"io"
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

// readVersion reads what Go's linker has noted: all but the schema.
func readVersion() version {
	v := version{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
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
		v.Schema = daemon.Schema()
		return out.tell(cmd, env.stdout, v, members, v.tell)
	}
	return cmd
}

func (v version) tell(w io.Writer) error {
	commit, changed := v.Commit, ""
	if commit == "" {
		commit = "unknown"
	}
	if v.Changed {
		changed = ", changed since"
	}
	_, err := fmt.Fprintf(w, "acrux %s\ncommit %s%s\nschema %d\n%s %s\n", v.Version, commit, changed, v.Schema, v.Go, v.Platform)
	return err
}

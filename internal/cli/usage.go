package cli

import (
	"fmt"
	"io"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/daemon"
)

// diskTable is what --output table shows of what a server keeps.
var diskTable = &table{columns: columns{{"Kind", "kind"}, {"Name", "name"}, {"Bytes", "bytes"}, {"Count", "count"},
	{"Where", "where"}, {"Freed", "freed"}}, rows: func(value any) []any {
	usage, _ := value.(document) // it is made here
	parts, _ := usage["parts"].([]any)
	return parts
}}

func newUsageCommand(env *environment) *cobra.Command {
	var u upkeep
	cmd := &cobra.Command{Use: "usage", Args: cobra.NoArgs,
		Short: "Tell what a server keeps, how much of the disk that takes and what frees it",
		Long: "Tell what a server keeps, how much of the disk that takes and what frees it, beside a server that\n" +
			"runs as well. Sizes of content are those that the database knows; what two registries have counts\n" +
			"for both of them, and once in the sum."}
	u.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := u.config(env)
		if err != nil {
			return err
		}
		usage, err := daemon.DiskUsage(cmd.Context(), config)
		if err != nil {
			return err
		}
		return u.out.tell(cmd, env.stdout, usage, diskTable, func(w io.Writer) error { return tellUsage(w, usage) })
	}
	return cmd
}

// tellUsage writes it for people: parts of a part stand below it, and what takes nothing does not.
func tellUsage(w io.Writer, usage daemon.Usage) error {
	heads := columns{{head: "WHAT"}, {head: "SIZE"}, {head: "WHERE"}, {head: "FREED BY"}}
	var rows [][]string
	unread := int64(0)
	for _, part := range usage.Parts {
		if unread += part.Unread; part.Bytes == 0 && (part.Of != "" || part.Count == 0) && !part.Elsewhere {
			continue
		}
		name, where := part.Name, part.Where
		if part.Of != "" {
			name, where = "  "+name, ""
		}
		rows = append(rows, []string{name, size(part.Bytes), where, part.Freed})
	}
	if err := align(w, heads, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s in %s, whose disk has %s free.\n", size(usage.Bytes), usage.Data, size(usage.Free))
	if err == nil && unread > 0 {
		_, err = fmt.Fprintf(w, "Not counted: %d folders that this user cannot read.\n", unread)
	}
	return err
}

// size is a number of bytes as people read it.
func size(bytes int64) string { return units.BytesSize(float64(bytes)) }

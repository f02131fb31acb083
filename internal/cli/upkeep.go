package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/registry/collect"
)

// newRegistryCommand is what the one who runs a server does with the content of all its
// registries, on its machine.
func newRegistryCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "registry", Short: "Upkeep of the content of a server's registries, on its machine"}
	cmd.AddCommand(newCollectCommand(env), newScrubCommand(env))
	return cmd
}

func newCollectCommand(env *environment) *cobra.Command {
	var at place
	var what daemon.Collection
	cmd := &cobra.Command{Use: "gc", Short: "Delete content that no image needs; a server does the same once an hour", Args: cobra.NoArgs}
	at.add(cmd)
	cmd.Flags().BoolVar(&what.DryRun, "dry-run", false, "say what would be deleted, and delete nothing")
	cmd.Flags().DurationVar(&what.Grace, "grace", collect.Grace, "how long content must have been unused; less may cost a push that goes on its manifest")
	cmd.Flags().BoolVar(&what.Orphans, "orphans", false, "also what a crash left in the store, older than a day; looks at everything there")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := at.load(env)
		if err != nil {
			return err
		}
		if what.Grace < 0 {
			return invalidArgument("--grace %s is negative", what.Grace)
		}
		report, err := daemon.Collect(cmd.Context(), config, what)
		if err != nil {
			return err
		}
		return json.NewEncoder(env.stdout).Encode(report)
	}
	return cmd
}

// errRot makes scrub fail when it found something.
var errRot = fmt.Errorf("content is spoilt: push the images again, or restore it from a copy")

func newScrubCommand(env *environment) *cobra.Command {
	var at place
	cmd := &cobra.Command{Use: "scrub", Short: "Read all content and tell what is missing or not as it was pushed", Args: cobra.NoArgs}
	at.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := at.load(env)
		if err != nil {
			return err
		}
		rot, began := 0, time.Now()
		sum, err := daemon.Scrub(cmd.Context(), config, func(r collect.Rot) error {
			rot++
			fmt.Fprintf(env.stdout, "%s: %s\n", r.Digest, r.What)
			for _, image := range r.Images {
				fmt.Fprintf(env.stdout, "  needed by %s\n", image)
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%d blobs of %d bytes and %d manifests were read in %s; %d are spoilt.\n", sum.Blobs.Count, sum.Blobs.Bytes, sum.Manifests.Count, time.Since(began).Round(time.Millisecond), rot)
		if rot > 0 {
			return errRot
		}
		return nil
	}
	return cmd
}

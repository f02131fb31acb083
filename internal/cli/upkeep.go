package cli

import (
	"errors"
	"fmt"
	"io"
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

// upkeep are the flags of a command that works on a data directory and tells of it.
type upkeep struct {
	at  place
	out output
}

func (u *upkeep) add(cmd *cobra.Command) {
	u.at.add(cmd)
	u.out.add(cmd)
}

// config is that of the data directory. What the output cannot be is said before any work.
func (u *upkeep) config(env *environment) (daemon.Config, error) {
	if err := u.out.check(); err != nil {
		return daemon.Config{}, err
	}
	return u.at.load(env)
}

func newCollectCommand(env *environment) *cobra.Command {
	var u upkeep
	var what daemon.Collection
	cmd := &cobra.Command{Use: "gc", Args: cobra.NoArgs,
		Short: "Delete content that no image needs; a server does the same once an hour"}
	u.add(cmd)
	cmd.Flags().BoolVar(&what.DryRun, "dry-run", false, "say what would be deleted, and delete nothing")
	cmd.Flags().DurationVar(&what.Grace, "grace", collect.Grace,
		"how long content must have been unused; less may cost a push that goes on its manifest")
	cmd.Flags().BoolVar(&what.Orphans, "orphans", false,
		"also what a crash left in the store, older than a day; looks at everything there")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := u.config(env)
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
		return u.out.tell(cmd, env.stdout, report, collectedTable, func(w io.Writer) error {
			return tellCollected(w, report, what.DryRun)
		})
	}
	return cmd
}

var collectedTable = &table{columns: columns{{"Links", "links"}, {"Blobs", "blobs.count"}, {"BlobBytes", "blobs.bytes"},
	{"Manifests", "manifests.count"}, {"ManifestBytes", "manifests.bytes"}, {"Files", "files"}, {"Orphans", "orphans"}}}

// tellCollected says what a collection has deleted, or would delete.
func tellCollected(w io.Writer, r collect.Report, dryRun bool) error {
	if r == (collect.Report{}) {
		_, err := fmt.Fprintln(w, "Nothing is there that no image needs.")
		return err
	}
	verb, files := "Deleted:", fmt.Sprintf("; %d files are gone from the store", r.Files)
	if dryRun {
		verb, files = "This would be deleted:", ""
	}
	if _, err := fmt.Fprintf(w, "%s %d blobs (%s), %d manifests (%s) and %d links of repositories to blobs%s.\n", verb,
		r.Blobs.Count, size(r.Blobs.Bytes), r.Manifests.Count, size(r.Manifests.Bytes), r.Links, files); err != nil {
		return err
	}
	if r.Orphans == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s %d files in the store that nothing named.\n", verb, r.Orphans)
	return err
}

// errRot makes scrub fail when it found something.
var errRot = errors.New("content is spoilt: push the images again, or restore it from a copy")

// scrubbed is what a scrub has read, and what it has found.
type scrubbed struct {
	Blobs     collect.Amount `json:"blobs"`
	Manifests collect.Amount `json:"manifests"`
	Seconds   float64        `json:"seconds"`
	Spoilt    []spoilt       `json:"spoilt"`
}

type spoilt struct {
	Digest string   `json:"digest"`
	What   string   `json:"what"`
	Images []string `json:"images"` // that need it
}

var scrubbedTable = &table{columns: columns{{"Digest", "digest"}, {"What", "what"}, {"Images", "join('\n', images)"}},
	rows: func(value any) []any {
		report, _ := value.(document) // it is made here
		found, _ := report["spoilt"].([]any)
		return found
	}}

func newScrubCommand(env *environment) *cobra.Command {
	var u upkeep
	cmd := &cobra.Command{Use: "scrub", Args: cobra.NoArgs,
		Short: "Read all content and tell what is missing or not as it was pushed"}
	u.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := u.config(env)
		if err != nil {
			return err
		}
		began, report := time.Now(), scrubbed{Spoilt: []spoilt{}}
		sum, err := daemon.Scrub(cmd.Context(), config, func(r collect.Rot) error {
			one := newSpoilt(r)
			report.Spoilt = append(report.Spoilt, one)
			if u.out.inWords(cmd) {
				return one.tell(env.stdout) // reading all content may take hours
			}
			return nil
		})
		if err != nil {
			return err
		}
		report.Blobs, report.Manifests, report.Seconds = sum.Blobs, sum.Manifests, time.Since(began).Seconds()
		if err := u.out.tell(cmd, env.stdout, report, scrubbedTable, report.tell); err != nil {
			return err
		}
		if len(report.Spoilt) > 0 {
			return errRot
		}
		return nil
	}
	return cmd
}

func newSpoilt(r collect.Rot) spoilt {
	images := []string{}
	for _, image := range r.Images {
		images = append(images, image.String())
	}
	return spoilt{Digest: r.Digest.String(), What: r.What, Images: images}
}

func (s spoilt) tell(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s: %s\n", s.Digest, s.What)
	for _, image := range s.Images {
		if err == nil {
			_, err = fmt.Fprintf(w, "  needed by %s\n", image)
		}
	}
	return err
}

// tell says what was read; what is spoilt was told when it was found.
func (s scrubbed) tell(w io.Writer) error {
	took := time.Duration(s.Seconds * float64(time.Second)).Round(time.Millisecond)
	_, err := fmt.Fprintf(w, "Read: %d blobs (%s) and %d manifests (%s), in %s; %d are spoilt.\n",
		s.Blobs.Count, size(s.Blobs.Bytes), s.Manifests.Count, size(s.Manifests.Bytes), took, len(s.Spoilt))
	return err
}

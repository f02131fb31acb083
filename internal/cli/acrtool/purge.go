package acrtool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
)

// maxConcurrency is the published tool's.
const maxConcurrency = 32

// purge is a call of acr purge.
type purge struct {
	*tool
	filters                        []string
	ago                            string
	keep, concurrency, pageSize    int
	untagged, untaggedOnly         bool
	dryRun, includeLocked, verbose bool
	registry                       *registry
	parsed                         []Filter
	before                         time.Time
	tags, manifests                int
	done                           []string
}

func (t *tool) purgeCommand() *cobra.Command {
	p := &purge{tool: t}
	var timeout int64
	cmd := &cobra.Command{Use: "purge", Short: "Delete old tags, and manifests without a tag", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) }}
	flags := cmd.Flags()
	flags.StringArrayVarP(&p.filters, "filter", "f", nil, "REPOSITORY:TAG, both regular expressions; may be repeated")
	flags.StringVar(&p.ago, "ago", "", "Only what was updated longer ago: 2d3h6m; needed unless --untagged-only")
	flags.IntVar(&p.keep, "keep", 0, "Of what would be deleted in a repository, so many of the newest stay")
	flags.BoolVar(&p.untagged, "untagged", false, "Also manifests without a tag")
	flags.BoolVar(&p.untaggedOnly, "untagged-only", false, "Manifests without a tag, and no tags; of a filter the repository counts")
	flags.BoolVar(&p.dryRun, "dry-run", false, "Say what would be deleted, and delete nothing")
	flags.BoolVar(&p.includeLocked, "include-locked", false, "Also what is locked")
	flags.IntVar(&p.concurrency, "concurrency", runtime.GOMAXPROCS(0), "Taken for lines of the published tool: the registry does the work")
	flags.IntVar(&p.pageSize, "repository-page-size", 100, "Taken for lines of the published tool")
	flags.Int64Var(&timeout, "filter-timeout-seconds", 60, "Taken for lines of the published tool: a name may take a second")
	flags.BoolVar(&p.verbose, "verbose", false, "Taken for lines of the published tool")
	cmd.MarkFlagsOneRequired("filter", "untagged-only")
	cmd.MarkFlagsMutuallyExclusive("untagged", "untagged-only")
	return cmd
}

func (p *purge) run(ctx context.Context) (err error) {
	if err := p.parse(); err != nil {
		return err
	}
	if p.registry, err = p.open(); err != nil {
		return err
	}
	repositories, err := p.registry.meant(ctx, p.parsed)
	if err != nil {
		return err
	}
	p.preamble()
	for i, repository := range repositories {
		if err = p.repository(ctx, repository); err != nil {
			err = p.stopped(err, repository, repositories[i+1:])
			break
		}
		p.done = append(p.done, repository)
	}
	if err != nil {
		fmt.Fprintf(p.stdout, "Failed to complete purge: %v \n", err)
	}
	p.summary()
	return err
}

// parse reads the flags' values.
func (p *purge) parse() error {
	for _, text := range p.filters {
		f, err := ParseFilter(text)
		if err != nil {
			return err
		}
		p.parsed = append(p.parsed, f)
	}
	p.before = time.Now()
	switch {
	case p.keep < 0:
		return invalid("--keep is %d", p.keep)
	case p.ago == "" && !p.untaggedOnly:
		return invalid("--ago is needed without --untagged-only")
	case p.ago != "":
		ago, err := ParseAgo(p.ago)
		if err != nil {
			return err
		}
		p.before = p.before.Add(-ago)
	}
	return nil
}

// preamble is what the published tool says before it begins.
func (p *purge) preamble() {
	if p.dryRun {
		fmt.Fprintln(p.stdout, "DRY RUN: The following output shows what WOULD be deleted if the purge command was executed. Nothing is deleted.")
	}
	switch {
	case p.concurrency <= 0:
		fmt.Fprintf(p.stdout, "Specified concurrency value invalid. Set to default value: %d \n", runtime.GOMAXPROCS(0))
	case p.concurrency > maxConcurrency:
		fmt.Fprintf(p.stdout, "Specified concurrency value too large. Set to maximum value: %d \n", maxConcurrency)
	}
}

func (p *purge) summary() {
	if p.dryRun {
		fmt.Fprintf(p.stdout, "\nNumber of tags to be deleted: %d\nNumber of manifests to be deleted: %d\n", p.tags, p.manifests)
		return
	}
	fmt.Fprintf(p.stdout, "\nNumber of deleted tags: %d\nNumber of deleted manifests: %d\n", p.tags, p.manifests)
}

// meant are the repositories of the filters, or all without one, in order. Who may not list them
// can still name them.
func (r *registry) meant(ctx context.Context, filters []Filter) (names []string, err error) {
	all, err := r.repositories(ctx)
	if err != nil && denied(err) {
		if all = plainNames(filters); len(all) > 0 {
			err = nil
		}
	}
	if err != nil || len(filters) == 0 {
		return all, err
	}
	for _, name := range all {
		_, ok, err := TagsOf(filters, name)
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// plainNames are the names that filters have without an expression; none if one of them has one.
func plainNames(filters []Filter) (names []string) {
	for _, f := range filters {
		if !f.plain() {
			return nil
		}
		names = append(names, f.Repository)
	}
	return names
}

// request is the body of the registry's own purge.
type request struct {
	Filter   *string   `json:"filter,omitempty"`
	Before   time.Time `json:"before"`
	Keep     int       `json:"keep"`
	Untagged bool      `json:"untagged"`
	Locked   bool      `json:"includeLocked"`
	DryRun   bool      `json:"dryRun"`
}

// repository purges one: its tags first, as the published tool does, and manifests then.
func (p *purge) repository(ctx context.Context, repository string) error {
	ask := request{Before: p.before, Keep: p.keep, Untagged: p.untagged || p.untaggedOnly, Locked: p.includeLocked, DryRun: p.dryRun}
	if !p.untaggedOnly {
		expression, _, err := TagsOf(p.parsed, repository)
		if err != nil {
			return err
		}
		ask.Filter = &expression
	}
	actions := []oci.Action{oci.Delete, oci.MetadataRead}
	if p.includeLocked {
		actions = append(actions, oci.MetadataWrite)
	}
	told := &telling{purge: p, repository: repository}
	var skipped []string
	for more := true; more; {
		var out struct {
			Tags      []string `json:"tagsDeleted"`
			Manifests []string `json:"manifestsDeleted"`
			Skipped   []string `json:"skipped"`
			More      bool     `json:"more"`
		}
		if _, err := p.registry.do(ctx, "POST", "/acr/v1/"+repository+"/_purge", oci.RepositoryAccess(repository, actions...), ask, &out); err != nil {
			return err
		}
		told.some(out.Tags, out.Manifests)
		skipped, more = out.Skipped, out.More // each answer names all
	}
	told.end(skipped)
	return nil
}

// telling prints what goes in one repository.
type telling struct {
	*purge
	repository          string
	ofTags, ofManifests bool // the headline was printed
}

func (t *telling) some(tags, manifests []string) {
	if !t.ofTags && !t.untaggedOnly {
		t.head("tags")
		t.ofTags = true
	}
	for _, tag := range tags {
		t.line("Deleted", ":"+tag)
	}
	if len(manifests) > 0 {
		t.headOfManifests()
	}
	for _, digest := range manifests {
		t.line("Deleted", "@"+digest)
	}
	t.tags, t.manifests = t.tags+len(tags), t.manifests+len(manifests)
}

func (t *telling) end(skipped []string) {
	if t.untagged || t.untaggedOnly {
		t.headOfManifests()
	}
	for _, what := range skipped { // a tag, or a digest
		joint := ":"
		if strings.Contains(what, ":") {
			joint = "@"
		}
		fmt.Fprintf(t.stdout, "Skipped %s/%s%s%s, it is locked, or was changed meanwhile\n", t.registry.server, t.repository, joint, what)
	}
}

func (t *telling) headOfManifests() {
	if !t.ofManifests {
		t.head("manifests")
		t.ofManifests = true
	}
}

func (t *telling) head(what string) {
	verb := "Deleting"
	if t.dryRun {
		verb = "Would delete"
	}
	fmt.Fprintf(t.stdout, "%s %s for repository: %s\n", verb, what, t.repository)
}

func (t *telling) line(verb, reference string) {
	if t.dryRun {
		verb = "Would delete:"
	}
	fmt.Fprintf(t.stdout, "%s %s/%s%s\n", verb, t.registry.server, t.repository, reference)
}

// stopped explains why a purge ends at a repository, and how far it is.
func (p *purge) stopped(err error, repository string, left []string) error {
	switch {
	case denied(err):
		text := fmt.Sprintf("insufficient permissions to purge the repository %q", repository)
		if len(p.done) > 0 {
			text += fmt.Sprintf("\n  Completed repositories (%d): %s", len(p.done), strings.Join(p.done, ", "))
		} else {
			text += "\n  Completed repositories: none"
		}
		if len(left) > 0 {
			text += fmt.Sprintf("\n  Remaining repositories not yet processed (%d): %s", len(left), strings.Join(left, ", "))
		}
		refused := problem.New(problem.Denied, "Denied", "%s", text).Because(err)
		var p *problem.Error
		if errors.As(err, &p) {
			refused.Message += "\n  " + p.Message
			refused.Hints = p.Hints
		}
		return refused
	case absent(err):
		return problem.New(problem.Unsupported, "NoPurge", "%s does not purge by itself: %v", p.registry.server, err).Because(err).
			Hint("for registries elsewhere use the published tool: az acr import --name REGISTRY --source mcr.microsoft.com/acr/acr-cli:0.19 --image acr/acr-cli:0.19")
	}
	return err
}

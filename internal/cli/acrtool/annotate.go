package acrtool

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/oci"
)

// annotate is a call of acr annotate.
type annotate struct {
	*tool
	filters, texts                  []string
	artifactType                    string
	untagged, dryRun, includeLocked bool
	registry                        *registry
	annotations                     map[string]string
	tags, manifests, locked         int
}

func (t *tool) annotateCommand() *cobra.Command {
	a := &annotate{tool: t}
	var concurrency int
	var timeout int64
	cmd := &cobra.Command{Use: "annotate", Short: "Attach annotations to images, such as the end of their life", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context()) }}
	flags := cmd.Flags()
	flags.StringArrayVarP(&a.filters, "filter", "f", nil, "REPOSITORY:TAG, both regular expressions; may be repeated")
	flags.StringVar(&a.artifactType, "artifact-type", "", "Type of the artifact that is attached")
	flags.StringSliceVarP(&a.texts, "annotations", "a", nil, "KEY=VALUE; may be repeated")
	flags.BoolVar(&a.untagged, "untagged", false, "Also manifests without a tag")
	flags.BoolVar(&a.dryRun, "dry-run", false, "Say what would be annotated, and change nothing")
	flags.BoolVar(&a.includeLocked, "include-locked", false, "Also what is locked")
	flags.IntVar(&concurrency, "concurrency", 1, "Taken for lines of the published tool")
	flags.Int64Var(&timeout, "filter-timeout-seconds", 60, "Taken for lines of the published tool: a name may take a second")
	for _, name := range []string{"filter", "artifact-type", "annotations"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // it was just made
		}
	}
	return cmd
}

func (a *annotate) run(ctx context.Context) (err error) {
	var filters []Filter
	for _, text := range a.filters {
		f, err := ParseFilter(text)
		if err != nil {
			return err
		}
		filters = append(filters, f)
	}
	a.annotations = map[string]string{ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339)}
	for _, text := range a.texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return invalid("--annotations %s is not KEY=VALUE", text)
		}
		a.annotations[key] = value
	}
	if a.registry, err = a.open(); err != nil {
		return err
	}
	repositories, err := a.registry.meant(ctx, filters)
	if err != nil {
		return err
	}
	if a.dryRun {
		fmt.Fprintln(a.stdout, "DRY RUN: The following output shows what WOULD be annotated if the annotate command was executed. Nothing is annotated.")
	}
	for _, repository := range repositories {
		expression, _, err := TagsOf(filters, repository)
		if err != nil {
			return err
		}
		if err := a.repository(ctx, repository, expression); err != nil {
			return err
		}
	}
	a.summary()
	return nil
}

func (a *annotate) summary() {
	verb := "annotated tags: %d\nNumber of annotated manifests"
	if a.dryRun {
		verb = "tags to be annotated: %d\nNumber of manifests to be annotated"
	}
	fmt.Fprintf(a.stdout, "\nNumber of "+verb+": %d\n", a.tags, a.manifests)
	if a.locked > 0 {
		fmt.Fprintf(a.stdout, "%d tags skipped as they are locked\n", a.locked)
	}
}

// repository annotates the images that an expression for tags means, and what has no tag.
func (a *annotate) repository(ctx context.Context, repository, expression string) error {
	re, err := regexp2.Compile(expression, regexp2.RE2)
	if err != nil {
		return invalid("--filter: %v", err)
	}
	re.MatchTimeout = matchTime
	a.head("Annotating tags for repository: %s", "Tags for this repository would be annotated: %s", repository)
	tags, err := a.registry.tags(ctx, repository)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		matches, err := re.MatchString(tag.Name)
		if err != nil {
			return invalid("a filter takes too long for the tag %s: %v", tag.Name, err)
		}
		if !matches {
			continue
		}
		if !tag.Changeable.Write && !a.includeLocked {
			a.locked++
			continue
		}
		if err := a.one(ctx, repository, tag.Digest, ":"+tag.Name, &a.tags); err != nil {
			return err
		}
	}
	if !a.untagged {
		return nil
	}
	return a.rest(ctx, repository)
}

// rest annotates manifests without a tag: neither parts of an index nor what refers to an image,
// which have none by their nature.
func (a *annotate) rest(ctx context.Context, repository string) error {
	a.head("Annotating manifests for repository: %s", "Manifests for this repository would be annotated: %s", repository)
	manifests, err := a.registry.manifests(ctx, repository)
	if err != nil {
		return err
	}
	parts := map[string]bool{}
	var loose []string
	for _, m := range manifests {
		var body struct {
			Manifests []struct{ Digest string }
			Subject   *struct{ Digest string }
		}
		access := oci.RepositoryAccess(repository, oci.Pull)
		if _, err := a.registry.do(ctx, "GET", "/v2/"+repository+"/manifests/"+m.Digest, access, nil, &body); err != nil {
			return err
		}
		for _, part := range body.Manifests {
			parts[part.Digest] = true
		}
		if len(m.Tags) == 0 && body.Subject == nil && (m.Changeable.Write || a.includeLocked) {
			loose = append(loose, m.Digest)
		}
	}
	for _, digest := range loose {
		if parts[digest] {
			continue
		}
		if err := a.one(ctx, repository, digest, "@"+digest, &a.manifests); err != nil {
			return err
		}
	}
	return nil
}

func (a *annotate) head(does, would, repository string) {
	if a.dryRun {
		does = would
	}
	fmt.Fprintf(a.stdout, does+"\n", repository)
}

// one attaches the annotations to a manifest, unless it has an artifact of the type.
func (a *annotate) one(ctx context.Context, repository, subject, reference string, count *int) error {
	var there ocispec.Index
	query := url.Values{"artifactType": {a.artifactType}}.Encode()
	access := oci.RepositoryAccess(repository, oci.Pull, oci.Push)
	if _, err := a.registry.do(ctx, "GET", "/v2/"+repository+"/referrers/"+subject+"?"+query, access, nil, &there); err != nil {
		return err
	}
	for _, referrer := range there.Manifests {
		if referrer.ArtifactType == a.artifactType { // not all registries filter
			return nil
		}
	}
	*count++
	if a.dryRun {
		fmt.Fprintf(a.stdout, "Would annotate: %s/%s%s\n", a.registry.server, repository, reference)
		return nil
	}
	if err := a.registry.attach(ctx, repository, digest.Digest(subject), a.artifactType, a.annotations); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Annotated %s/%s@%s\n", a.registry.server, repository, subject)
	return nil
}

// attach pushes an artifact without content that refers to a manifest (OCI Image, "Guidelines
// for Artifact Usage").
func (r *registry) attach(ctx context.Context, repository string, to digest.Digest, artifactType string, annotations map[string]string) error {
	access := oci.RepositoryAccess(repository, oci.Pull, oci.Push)
	found, err := r.do(ctx, "HEAD", "/v2/"+repository+"/manifests/"+to.String(), access, nil, nil)
	if err != nil {
		return err
	}
	var size int64
	if _, err := fmt.Sscan(found.Header.Get("Content-Length"), &size); err != nil {
		return fmt.Errorf("reading the size of %s@%s: %w", repository, to, err)
	}
	empty := ocispec.DescriptorEmptyJSON
	if _, err := r.do(ctx, "POST", "/v2/"+repository+"/blobs/uploads/?digest="+empty.Digest.String(), access, struct{}{}, nil); err != nil {
		return err
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON},
		Subject:     &ocispec.Descriptor{MediaType: found.Header.Get("Content-Type"), Digest: to, Size: size},
		Annotations: annotations,
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	_, err = r.client.Registry(ctx, client.RegistryRequest{Server: r.server, Method: "PUT", Scope: access.String(),
		Path: "/v2/" + repository + "/manifests/" + digest.FromBytes(text).String(), In: json.RawMessage(text), Type: manifest.MediaType,
		Username: r.username, Password: r.password}, nil)
	return err
}

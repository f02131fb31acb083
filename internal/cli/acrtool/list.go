package acrtool

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/oci"
)

// group is a command of commands that share --repository.
func (t *tool) group(name, short string, repository *string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short}
	cmd.PersistentFlags().StringVar(repository, "repository", "", "Name of the repository")
	if err := cmd.MarkPersistentFlagRequired("repository"); err != nil {
		panic(err) // it was just made
	}
	cmd.AddCommand(commands...)
	return cmd
}

func (t *tool) tagCommand() *cobra.Command {
	var repository string
	list := &cobra.Command{Use: "list", Short: "List the tags of a repository", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		r, err := t.open()
		if err != nil {
			return err
		}
		tags, err := r.tags(cmd.Context(), repository)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.stdout, "Listing tags for the %q repository:\n", repository)
		for _, tag := range tags {
			fmt.Fprintf(t.stdout, "%s/%s:%s\n", r.server, repository, tag.Name)
		}
		return nil
	}}
	remove := &cobra.Command{Use: "delete TAG…", Short: "Delete tags", Args: cobra.MinimumNArgs(1), RunE: func(cmd *cobra.Command, tags []string) error {
		return t.remove(cmd.Context(), repository, "/acr/v1/"+repository+"/_tags/", ":", tags)
	}}
	return t.group("tag", "List and delete the tags of a repository", &repository, list, remove)
}

func (t *tool) manifestCommand() *cobra.Command {
	var repository string
	list := &cobra.Command{Use: "list", Short: "List the manifests of a repository", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		r, err := t.open()
		if err != nil {
			return err
		}
		manifests, err := r.manifests(cmd.Context(), repository)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.stdout, "Listing manifests for the %q repository:\n", repository)
		for _, m := range manifests {
			fmt.Fprintf(t.stdout, "%s/%s@%s\n", r.server, repository, m.Digest)
		}
		return nil
	}}
	remove := &cobra.Command{Use: "delete DIGEST…", Short: "Delete manifests", Args: cobra.MinimumNArgs(1), RunE: func(cmd *cobra.Command, digests []string) error {
		return t.remove(cmd.Context(), repository, "/v2/"+repository+"/manifests/", "@", digests)
	}}
	return t.group("manifest", "List and delete the manifests of a repository", &repository, list, remove)
}

// remove deletes tags or manifests one by one, and stops at the first that the registry refuses.
func (t *tool) remove(ctx context.Context, repository, path, joint string, references []string) error {
	r, err := t.open()
	if err != nil {
		return err
	}
	for _, reference := range references {
		if _, err := r.do(ctx, "DELETE", path+reference, oci.RepositoryAccess(repository, oci.Delete), nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(t.stdout, "%s/%s%s%s\n", r.server, repository, joint, reference)
	}
	return nil
}

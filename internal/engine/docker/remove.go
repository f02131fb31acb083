package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// remove removes what bears the labels, and the names of images in the repositories that
// match a pattern. It goes on after an error.
func (e *Executor) remove(ctx context.Context, labels client.Filters, repositories string) error {
	return errors.Join(
		e.removeContainers(ctx, labels), // first: what they use cannot be removed
		e.removeNetworks(ctx, labels),
		e.removeVolumes(ctx, labels),
		e.removeImages(ctx, repositories),
	)
}

func (e *Executor) removeContainers(ctx context.Context, labels client.Filters) error {
	all, err := e.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: labels})
	if err != nil {
		return fmt.Errorf("listing containers: %w", err)
	}
	var errs []error
	for _, c := range all.Items {
		errs = append(errs, e.removeContainer(ctx, c.ID))
	}
	return errors.Join(errs...)
}

// removeContainer ends a container and removes it. It does nothing if it is gone.
func (e *Executor) removeContainer(ctx context.Context, id string) error {
	_, err := e.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a conflict: it is being removed
		return fmt.Errorf("removing a container: %w", err)
	}
	return nil
}

func (e *Executor) removeNetworks(ctx context.Context, labels client.Filters) error {
	all, err := e.engine.NetworkList(ctx, client.NetworkListOptions{Filters: labels})
	if err != nil {
		return fmt.Errorf("listing networks: %w", err)
	}
	var errs []error
	for _, n := range all.Items {
		if _, err := e.engine.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("removing a network: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (e *Executor) removeVolumes(ctx context.Context, labels client.Filters) error {
	all, err := e.engine.VolumeList(ctx, client.VolumeListOptions{Filters: labels})
	if err != nil {
		return fmt.Errorf("listing volumes: %w", err)
	}
	var errs []error
	for _, v := range all.Items {
		if _, err := e.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("removing a volume: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (e *Executor) removeImages(ctx context.Context, repositories string) error {
	all, err := e.engine.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", repositories)})
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	var errs []error
	for _, image := range all.Items {
		for _, name := range image.RepoTags {
			if strings.HasPrefix(name, imageDomain(e.id)+"/") { // others may have names for the same image
				errs = append(errs, e.removeImage(ctx, name))
			}
		}
	}
	return errors.Join(errs...)
}

// removeImage takes a name from an image, which goes with its last one. It stays if a
// container that is not ours has come to use it: then only the name goes, by force.
func (e *Executor) removeImage(ctx context.Context, name string) error {
	_, err := e.engine.ImageRemove(ctx, name, client.ImageRemoveOptions{PruneChildren: true})
	if errdefs.IsConflict(err) {
		_, err = e.engine.ImageRemove(ctx, name, client.ImageRemoveOptions{Force: true})
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing an image: %w", err)
	}
	return nil
}

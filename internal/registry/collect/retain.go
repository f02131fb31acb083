package collect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
)

// Janitor does what the policies of registries ask for, and collects. It is what runs in
// the background; its fields are set once.
type Janitor struct {
	Registries *registry.Registries
	Purger     *Purger
	Collector  *Collector
	Trash      registry.Trash
	Outbox     registry.Outbox
}

// actor is who deletes in the name of a policy, as events say it.
const actor = "retention policy"

// eventAge is how long events are kept that every reader has read.
const eventAge = 7 * 24 * time.Hour

// Tidy goes through all registries once, and collects.
func (j *Janitor) Tidy(ctx context.Context, now time.Time) (Report, error) {
	all, err := j.Registries.List(ctx, resource.Query{})
	if err != nil {
		return Report{}, err
	}
	var errs []error
	for _, reg := range all {
		if err := j.policies(ctx, reg, now); err != nil {
			errs = append(errs, fmt.Errorf("the policies of registry %s: %w", reg.ID.Name(), err))
		}
	}
	report, err := j.Collector.Collect(ctx, now, Grace)
	return report, errors.Join(append(errs, err, j.prune(ctx, now))...)
}

func (j *Janitor) prune(ctx context.Context, now time.Time) error {
	for {
		n, err := j.Outbox.PruneEvents(ctx, now.Add(-eventAge), 10*batch)
		if err != nil || n < 10*batch {
			return err
		}
	}
}

func (j *Janitor) policies(ctx context.Context, reg arm.Resource[registry.Properties], now time.Time) error {
	name, policies := registry.ContentName(reg.ID), reg.Properties.Policies
	if policies == nil {
		return nil
	}
	if policies.Retention.On() {
		if err := j.Retain(ctx, name, now.Add(-policies.Retention.Time()), now); err != nil {
			return err
		}
	}
	// What is in the bin goes when its time is over, even if the policy was turned off.
	for {
		n, err := j.Trash.Expire(ctx, name, now.Add(-policies.SoftDelete.Time()), now, batch)
		if err != nil || n < batch {
			return err
		}
	}
}

// Retain deletes manifests of a registry that have been untagged since before a time, but
// for the youngest.
func (j *Janitor) Retain(ctx context.Context, registryName string, before, now time.Time) error {
	if young := now.Add(-Grace); before.After(young) {
		before = young // what was just pushed by digest may be about to become part of an index
	}
	for after := ""; ; {
		names, err := j.Purger.Store.RepositoryNames(ctx, registryName, after, batch)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, repository := range names {
			if err := j.retainIn(ctx, registry.Name{Registry: registryName, Repository: repository}, before, now); err != nil {
				return err
			}
		}
		after = names[len(names)-1]
	}
}

// retainIn goes over a repository until nothing goes any more: an index that goes lets
// go of what it contains.
func (j *Janitor) retainIn(ctx context.Context, name registry.Name, before, now time.Time) error {
	for again := true; again; {
		again = false
		for after := digest.Digest(""); ; {
			found, err := j.Purger.Store.Untagged(ctx, name, before, after, batch)
			if errors.Is(err, registry.ErrNoRepository) {
				return nil // deleted meanwhile
			}
			if err != nil {
				return err
			}
			if len(found) == 0 {
				break
			}
			for _, d := range found {
				gone, err := j.Purger.remove(ctx, name, d, Guard{Before: before}, actor, now)
				if err != nil {
					return err
				}
				again = again || gone
			}
			after = found[len(found)-1]
		}
	}
	return nil
}

package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/acrux/acrux/internal/jobs"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/tasks/run"
)

// openContent makes what serves the content of registries.
func (s *Server) openContent(ctx context.Context, registries *registry.Registries) error {
	blobs, err := openBlobs(ctx, s.config, s.reserve)
	if err != nil {
		return err
	}
	store := sqlstore.Registry{DB: s.db}
	s.content = &registry.Content{Store: store, Blobs: blobs, Reserve: s.reserve, Policies: registries.PoliciesOf, Redirect: s.config.Blobs.Redirect}
	s.content.Remember(store.Generation)
	registries.Remember(s.db.Generation)
	s.pulls = &registry.PullCounter{Content: s.content}
	s.purger = &collect.Purger{Store: sqlstore.Collect{Registry: store}, Content: s.content}
	return nil
}

// upkeep has runs and the content of registries looked after, once in a while.
func (s *Server) upkeep(registries *registry.Registries, runs *run.Service) {
	s.queue.Repeat(jobs.Periodic{Name: "run-expiry", Every: time.Hour, Work: func(ctx context.Context, now time.Time) error {
		ended, logs, err := runs.Expire(ctx, now.Add(-s.config.Runs.Keep))
		if ended+logs > 0 {
			s.log.Info("old runs were removed", "runs", ended, "logs", logs)
		}
		return err
	}})
	s.queue.Repeat(jobs.Periodic{Name: "trigger-log-expiry", Every: time.Hour, Work: func(ctx context.Context, now time.Time) error {
		return s.triggers.Sweep(ctx, now)
	}})
	store := sqlstore.Registry{DB: s.db}
	collector := &collect.Collector{Store: s.purger.Store, Blobs: s.content.Blobs}
	janitor := &collect.Janitor{Registries: registries, Purger: s.purger, Collector: collector, Trash: store, Outbox: store}
	s.queue.Repeat(jobs.Periodic{Name: "upload-expiry", Every: time.Hour, Work: s.content.SweepUploads})
	s.queue.Repeat(jobs.Periodic{Name: "collection", Every: time.Hour, Work: func(ctx context.Context, now time.Time) error {
		report, err := janitor.Tidy(ctx, now)
		if report != (collect.Report{}) {
			s.log.Info("content was collected", "links", report.Links, "blobs", report.Blobs.Count, "bytes", report.Blobs.Bytes, "manifests", report.Manifests.Count)
		}
		return err
	}})
	s.queue.Repeat(jobs.Periodic{Name: "orphans", Every: 7 * 24 * time.Hour, Work: func(ctx context.Context, now time.Time) error {
		n, err := collector.Orphans(ctx, now, collect.OrphanAge, false)
		if n > 0 {
			s.log.Info("content that no row named was deleted", "files", n)
		}
		return err
	}})
}

// Collection is what to collect.
type Collection struct {
	Grace   time.Duration // how long a blob must have been unused
	Orphans bool          // also content that no row names
	DryRun  bool          // only say what would go
}

// Collect collects where a configuration says, whether its server runs or not.
func Collect(ctx context.Context, config Config, what Collection) (r collect.Report, err error) {
	err = withCollector(ctx, config, func(c *collect.Collector) error {
		now := time.Now()
		if what.DryRun {
			r, err = c.Plan(ctx, now, what.Grace)
		} else {
			r, err = c.Collect(ctx, now, what.Grace)
		}
		if err != nil || !what.Orphans {
			return err
		}
		r.Orphans, err = c.Orphans(ctx, now, collect.OrphanAge, what.DryRun)
		if !what.DryRun {
			r.Files += r.Orphans
		}
		return err
	})
	return r, err
}

// Scrub reads all content of a server and tells found about what is spoilt.
func Scrub(ctx context.Context, config Config, found func(collect.Rot) error) (sum collect.Scrubbed, err error) {
	err = withCollector(ctx, config, func(c *collect.Collector) error {
		sum, err = c.Scrub(ctx, found)
		return err
	})
	return sum, err
}

func withCollector(ctx context.Context, config Config, do func(*collect.Collector) error) error {
	db, err := openShared(ctx, config)
	if err != nil {
		return err
	}
	blobs, err := openBlobs(ctx, config, db.Reserve)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	err = do(&collect.Collector{Store: sqlstore.Collect{Registry: sqlstore.Registry{DB: db}}, Blobs: blobs})
	return errors.Join(err, db.Close())
}

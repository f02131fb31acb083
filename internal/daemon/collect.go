package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

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
	blobs, err := openBlobs(ctx, config)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	err = do(&collect.Collector{Store: sqlstore.Collect{Registry: sqlstore.Registry{DB: db}}, Blobs: blobs})
	return errors.Join(err, db.Close())
}

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

// Collect collects in a data directory, whether its server runs or not.
func Collect(ctx context.Context, data string, what Collection) (r collect.Report, err error) {
	err = withCollector(ctx, data, func(c *collect.Collector) error {
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

// Scrub reads all content of a data directory and tells found about what is spoilt.
func Scrub(ctx context.Context, data string, found func(collect.Rot) error) (sum collect.Scrubbed, err error) {
	err = withCollector(ctx, data, func(c *collect.Collector) error {
		sum, err = c.Scrub(ctx, found)
		return err
	})
	return sum, err
}

func withCollector(ctx context.Context, data string, do func(*collect.Collector) error) error {
	db, err := openShared(ctx, data)
	if err != nil {
		return err
	}
	blobs, err := openBlobs(data)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	err = do(&collect.Collector{Store: sqlstore.Collect{Registry: sqlstore.Registry{DB: db}}, Blobs: blobs})
	return errors.Join(err, db.Close())
}

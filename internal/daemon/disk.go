package daemon

import (
	"context"
	"time"

	"github.com/acrux/acrux/internal/disk"
)

// keepInterval is how often the keeper of the reserve looks at the disk.
const keepInterval = 5 * time.Second

// keeper is the duty that sees to the last part of the disk's reserve. Background work
// writes past the database's own queue, and finds room by it.
type keeper struct {
	reserve *disk.Reserve
	failed  func(error)
}

// Run implements duty.
func (k keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(keepInterval)
	defer ticker.Stop()
	for {
		k.reserve.Spend()
		if err := k.reserve.Refill(); err != nil {
			k.failed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

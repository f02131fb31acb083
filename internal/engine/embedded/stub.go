//go:build !linux || !cgo

package embedded

import (
	"context"
	"errors"

	"github.com/acrux/acrux/internal/engine"
)

// Executor cannot be had on this system.
type Executor struct{ engine.Executor }

// Open says that the executor cannot be had here.
func Open(context.Context, Options) (*Executor, error) {
	return nil, errors.New("the embedded executor needs Linux and a binary built with cgo: use a remote engine")
}

// Tidy does nothing.
func (*Executor) Tidy(context.Context) error { return nil }

// Close does nothing.
func (*Executor) Close() error { return nil }

package imagestore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"syscall"
)

// Broken is an image that nobody can unpack: whoever made it is at fault.
type Broken struct{ err error }

// ours are paths of the store in the messages of system calls.
var ours = regexp.MustCompile(`/\S*?(/snapshots/\d+/fs|/containerd-mount\d+)`)

// Error implements error, in docker's words. What it tells of files are paths in the image.
func (b *Broken) Error() string {
	return "failed to register layer: " + ours.ReplaceAllString(b.err.Error(), "")
}

// Unwrap gives the cause.
func (b *Broken) Unwrap() error { return b.err }

// scarce is what a machine may run out of while it unpacks.
var scarce = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.EROFS}

// unpackError tells the fault of an image from that of the machine.
func unpackError(ctx context.Context, err error) error {
	machine := slices.ContainsFunc(scarce, func(one error) bool { return errors.Is(err, one) })
	if machine || ctx.Err() != nil {
		return fmt.Errorf("unpacking an image: %w", err)
	}
	return &Broken{err}
}

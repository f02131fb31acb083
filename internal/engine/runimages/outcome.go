package runimages

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// Outcome is an error that is a result: what a docker client would print, and exit with.
type Outcome struct {
	Code int
	Text string
	By   *registryclient.Refusal // if a registry refused
}

// Error implements error.
func (o *Outcome) Error() string { return o.Text }

// Pulled makes an outcome of a pull that the registry would not or could not serve: a docker
// client prints it, with what it puts before, and exits.
func Pulled(before string, err error) error {
	if imagestore.AtRegistry(err) || errors.Is(err, imagestore.ErrNoPlatform) {
		return &Outcome{Code: 125, Text: before + err.Error(), By: imagestore.RefusalIn(err)}
	}
	return err
}

// Told ends a command: an outcome is printed and becomes the result.
func Told(ctx context.Context, out io.Writer, result engine.CommandResult, err error) (engine.CommandResult, error) {
	var outcome *Outcome
	switch {
	case ctx.Err() != nil && err != nil:
		return result, context.Cause(ctx)
	case errors.As(err, &outcome):
		if _, err := fmt.Fprintln(out, outcome.Text); err != nil {
			return result, fmt.Errorf("writing to the log: %w", err)
		}
		result.ExitCode, result.Refused = outcome.Code, outcome.By
		return result, nil
	}
	return result, err
}

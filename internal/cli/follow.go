package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// waiting tells what a queued run waits for, unless that was told already, and returns it.
func (c *call) waiting(run document, told string) string {
	why, _ := run["runErrorMessage"].(string)
	if run["status"] == "Queued" && why != "" && why != told {
		c.warn("%s", why)
		return why
	}
	return told
}

// runGoesOn is what is said when a client leaves a run.
func runGoesOn(id arm.ID) string {
	return fmt.Sprintf("Run %s goes on; see it with: az acr task logs --registry %s --run-id %s",
		id.Name(), id.Parent().Name(), id.Name())
}

// waitEvery is how often a run without its log is looked at.
const waitEvery = 200 * time.Millisecond

// waitForRun waits for the end of a run. told is what was said of what it waits for.
func (c *call) waitForRun(ctx context.Context, id arm.ID, told string) (any, error) {
	for {
		run, err := c.getRun(ctx, id)
		if err != nil {
			return nil, err
		}
		told = c.waiting(run, told)
		switch {
		case !isOver(run):
		case run["status"] == "Succeeded":
			return run, nil
		default:
			return nil, problem.New(problem.Internal, "RunFailed", "run %s ended as %v: %v", id.Name(), run["status"], run["runErrorMessage"]).
				Hint("az acr task logs --registry %s --run-id %s", id.Parent().Name(), id.Name())
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(waitEvery):
		}
	}
}

// verdicts are what a client says about a run that did not succeed.
var verdicts = map[string]string{"failed": "Run failed", "internalerror": "Run failed", "timedout": "Run timed out", "canceled": "Run was canceled"}

func (c *call) getRun(ctx context.Context, id arm.ID) (document, error) {
	var doc document
	_, err := c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &doc)
	return flatten(doc), err
}

// queuedEvery is how often a run whose log is followed is asked what it waits for.
const queuedEvery = 2 * time.Second

// whileQueued tells what a run waits for until it waits no more or ctx ends. That it cannot be
// asked is for who follows the log to find out.
func (c *call) whileQueued(ctx context.Context, id arm.ID, told string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(queuedEvery):
		}
		run, err := c.getRun(ctx, id)
		if err != nil || run["status"] != "Queued" {
			return
		}
		told = c.waiting(run, told)
	}
}

// follow shows the log of a run to its end. Ctrl-C asks whether the run shall be
// canceled; where nobody can be asked, it is. told is what was said of what the run waits for.
func (c *call) follow(ctx context.Context, id arm.ID, told string) error {
	interrupts := make(chan interrupted, 1)
	defer c.signals.take(interrupts)()
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	var canceled atomic.Bool
	go c.interrupted(ctx, interrupts, id, leave, &canceled)
	go c.whileQueued(ctx, id, told)

	verdict, err := c.showLog(ctx, id)
	var left exitError
	if errors.As(context.Cause(ctx), &left) {
		return left
	}
	if err != nil {
		return err
	}
	if verdict == "successful" {
		return nil
	}
	text, known := verdicts[verdict]
	if !known {
		text = "Run ended as '" + verdict + "', which this client does not know"
	}
	c.warn("%s", text)
	if canceled.Load() {
		return exitError(interrupted{syscall.SIGINT}.status())
	}
	return exitError(exitFailed)
}

// interrupted waits for a signal. Ctrl-C may cancel the run, which canceled tells then; whatever
// else ends this program is not meant for the run.
func (c *call) interrupted(ctx context.Context, interrupts <-chan interrupted, id arm.ID,
	leave context.CancelCauseFunc, canceled *atomic.Bool) {
	var by interrupted
	select {
	case <-ctx.Done():
		return
	case by = <-interrupts:
	}
	if by.signal != syscall.SIGINT || !c.wantsCancel(interrupts, id.Name()) {
		c.warn("%s", runGoesOn(id))
		leave(exitError(by.status()))
		return
	}
	canceled.Store(true)
	c.warn("Canceling run %s...", id.Name())
	if _, err := c.client.Do(ctx, "POST", id.String()+"/cancel", tasksVersion, nil, nil); err != nil {
		leave(fmt.Errorf("canceling run %s: %w", id.Name(), err))
		return
	}
	select {
	case <-ctx.Done():
	case by = <-interrupts:
		leave(exitError(by.status()))
	}
}

// wantsCancel asks. A second Ctrl-C means no.
func (c *call) wantsCancel(interrupts <-chan interrupted, run string) bool {
	if !isTerminal(c.stdin) {
		return true
	}
	fmt.Fprintf(c.stderr, "\nCancel run %s as well? (y/n): ", run)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(c.stdin).ReadString('\n') // an end of input is a no
		answer <- line
	}()
	select {
	case line := <-answer:
		return saysYes(line)
	case <-interrupts:
		return false
	}
}

func (c *call) showLog(ctx context.Context, id arm.ID) (string, error) {
	var link struct{ LogLink string }
	if _, err := c.client.Do(ctx, "POST", id.String()+"/listLogSasUrl", tasksVersion, nil, &link); err != nil {
		return "", err
	}
	return c.client.FollowLog(ctx, link.LogLink, c.stdout)
}

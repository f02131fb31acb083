package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/wait"
)

// FollowLog copies a run's log from its signed URL to w while it grows, with plain
// line ends, and returns how the run ended: the word of x-ms-meta-Complete.
func (c *Client) FollowLog(ctx context.Context, link string, w io.Writer) (string, error) {
	var offset int64
	pause := pollFirst
	out := &lineWriter{w: w}
	for {
		n, verdict, err := c.readLog(ctx, link, offset, out)
		if err != nil {
			return "", err
		}
		if offset += n; n > 0 {
			pause = pollFirst
			continue // there may be more, and the verdict comes after the last byte
		}
		if verdict != "" {
			return verdict, out.Close()
		}
		if err := wait.For(ctx, pause); err != nil {
			return "", err
		}
		pause = min(pause*3/2, pollLast)
	}
}

// How often a log is looked at: often while it grows, seldom while it rests.
const (
	pollFirst = 20 * time.Millisecond
	pollLast  = 500 * time.Millisecond
)

// readLog copies what the log has from offset on.
func (c *Client) readLog(ctx context.Context, link string, offset int64, w io.Writer) (int64, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("x-ms-range", fmt.Sprintf("bytes=%d-", offset))
	res, err := c.http.Do(req)
	if err != nil {
		return 0, "", c.unreachable(req, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusRequestedRangeNotSatisfiable:
		_, err = io.Copy(io.Discard, res.Body) // so that the connection is used again
		return 0, res.Header.Get("x-ms-meta-Complete"), err
	case http.StatusPartialContent:
		n, err := io.Copy(w, res.Body)
		if err != nil {
			err = c.interrupted(req, err)
		}
		return n, "", err
	}
	return 0, "", problem.New(kinds[res.StatusCode], res.Header.Get("x-ms-error-code"), "the log cannot be read: the server answered %d", res.StatusCode)
}

// lineWriter turns CR LF into LF, also where the two come apart.
type lineWriter struct {
	w  io.Writer
	cr bool // the last byte was a CR that is not written yet
}

func (l *lineWriter) Write(p []byte) (int, error) {
	text := string(p)
	if l.cr {
		text = "\r" + text
	}
	if l.cr = strings.HasSuffix(text, "\r"); l.cr {
		text = text[:len(text)-1]
	}
	_, err := io.WriteString(l.w, strings.ReplaceAll(text, "\r\n", "\n"))
	return len(p), err
}

// Close writes a CR that nothing followed. It leaves the writer below open.
func (l *lineWriter) Close() error {
	if !l.cr {
		return nil
	}
	l.cr = false
	_, err := io.WriteString(l.w, "\r")
	return err
}

// Wait polls a long-running operation until it ends; progress is told on the way.
func (c *Client) Wait(ctx context.Context, started Response, progress func(string)) error {
	link := started.Header.Get("Azure-Asyncoperation")
	if started.Status != http.StatusAccepted {
		return nil // it is done
	}
	if link == "" {
		return errors.New("the server began an operation and did not say where its end can be seen")
	}
	pause := pollFirst
	for {
		var op struct {
			Status     string
			Properties struct{ Progress string }
			Error      struct{ Code, Message string }
		}
		if _, err := c.Do(ctx, http.MethodGet, link, "", nil, &op); err != nil {
			return err
		}
		switch op.Status {
		case "InProgress":
			progress(op.Properties.Progress)
		case "Succeeded":
			return nil
		case "Failed", "Canceled":
			return ended(op.Status, op.Error.Code, op.Error.Message)
		default:
			return errors.New("the operation is in the unknown state " + op.Status)
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
		pause = min(pause*3/2, pollLast)
	}
}

// ended is how an operation ended that did not succeed. Not every server says why.
func ended(status, code, message string) error {
	if code == "" {
		code = "Operation" + status
	}
	if message == "" {
		message = "the operation ended as " + status
	}
	return problem.New(problem.Invalid, code, "%s", message)
}

package registryclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/acrux/acrux/internal/wait"
)

// Answer is a response, read to its end.
type Answer struct {
	Status int
	Phrase string // "401 Unauthorized"
	Header http.Header
	Body   []byte
}

// Send sends a request and reads the answer. An error is one of the way there.
type Send func(*http.Request) (Answer, error)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// By sends with an HTTP client under a user agent.
func By(client *http.Client, userAgent string) Send {
	return func(request *http.Request) (Answer, error) {
		request.Header.Set("User-Agent", userAgent)
		response, err := client.Do(request)
		if err != nil {
			return Answer{}, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return Answer{response.StatusCode, response.Status, response.Header, body}, err
	}
}

// judge makes an error of an answer of a host that is not a success: a *Refusal if another
// attempt would not change it.
func judge(host string, a Answer) error {
	switch {
	case a.Status < 300:
		return nil
	case a.Status >= 500 || a.Status == http.StatusTooManyRequests:
		return &Busy{Phrase: a.Phrase, After: retryAfter(a.Header.Get("Retry-After"), time.Now())}
	}
	return NewRefusal(host, a)
}

// Busy is an answer by which a host cannot do now what was asked (429, and those of 500 and
// above): later it may.
type Busy struct {
	Phrase string        // "429 Too Many Requests"
	After  time.Duration // for how long not to ask again, as it said; 0 if it did not
}

// Error implements error.
func (b *Busy) Error() string { return b.Phrase }

// retryAfter reads the header Retry-After: seconds, or a date (RFC 9110, section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(max(0, min(seconds, maxAfter))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(at.Sub(now), maxAfter*time.Second))
	}
	return 0
}

// maxAfter bounds what Retry-After may ask for, in seconds: a day.
const maxAfter = 24 * 60 * 60

// Patience of Attempts: 1 + 3 attempts with a doubling pause, all within a limit.
const (
	maxAttempts  = 4
	firstPause   = 250 * time.Millisecond
	attemptsTime = 5 * time.Minute
)

// Attempts calls f until it succeeds, is refused, or has failed too often. When ctx ends, it
// returns its cause.
func Attempts(ctx context.Context, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, attemptsTime)
	defer cancel()
	for try, pause := 1, firstPause; ; try, pause = try+1, 2*pause {
		err := f(limited)
		var refused *Refusal
		if err == nil || errors.As(err, &refused) || try == maxAttempts || limited.Err() != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
	}
}

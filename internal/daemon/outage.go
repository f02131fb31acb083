package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// outageEvery is how often the log says that a store is away, while it is.
const outageEvery = 30 * time.Second

// sparing is a handler of a log for a server whose stores may be away. Each request and each
// duty that needs one notices it then: the log says so once, with the cause and where to
// look, and later how many more there were.
type sparing struct {
	slog.Handler
	seen *outages
}

// outages are what was said of stores, by where to look. It is safe for concurrent use.
type outages struct {
	mu   sync.Mutex
	said map[string]*outage
}

type outage struct {
	last time.Time
	more int // since then
}

func newSparing(log *slog.Logger) *slog.Logger {
	return slog.New(sparing{log.Handler(), &outages{said: map[string]*outage{}}})
}

// Handle implements slog.Handler.
func (s sparing) Handle(ctx context.Context, r slog.Record) error {
	away := awayIn(r)
	if away == nil {
		return s.Handler.Handle(ctx, r)
	}
	more, ok := s.seen.next(away.Look, r.Time)
	if !ok {
		return nil
	}
	r = r.Clone()
	r.AddAttrs(slog.Any("cause", away.Cause), slog.String("hint", away.Look), slog.Int("more", more))
	return s.Handler.Handle(ctx, r)
}

// next reports whether it is time to say something of a store, and how often it was not
// said since the last time.
func (o *outages) next(look string, now time.Time) (more int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.said[look]
	if before != nil && now.Sub(before.last) < outageEvery {
		before.more++
		return 0, false
	}
	if before != nil {
		more = before.more
	}
	o.said[look] = &outage{last: now}
	return more, true
}

// awayIn finds the error of a store that is away among what a record tells.
func awayIn(r slog.Record) (found *problem.Error) {
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		if p := (*problem.Error)(nil); ok && errors.As(err, &p) && p.Kind == problem.Away {
			found = p
		}
		return found == nil
	})
	return found
}

// WithAttrs implements slog.Handler.
func (s sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sparing{s.Handler.WithAttrs(attrs), s.seen}
}

// WithGroup implements slog.Handler.
func (s sparing) WithGroup(name string) slog.Handler {
	return sparing{s.Handler.WithGroup(name), s.seen}
}

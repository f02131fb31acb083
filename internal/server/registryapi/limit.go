package registryapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm/problem"
)

// class is what requests are counted as.
type class string

const (
	reads    class = "read"
	writes   class = "write"
	deletes  class = "delete"
	listings class = "referrers"
	signIns  class = "authentication"
)

// presets are the requests a minute that ACR publishes for a registry of a SKU. One
// identity may make half of them.
var presets = map[string]map[class]int{
	"basic":    {reads: 10_000, writes: 2_000, deletes: 1_000, listings: 500, signIns: 10_000},
	"standard": {reads: 10_000, writes: 2_000, deletes: 1_000, listings: 500, signIns: 10_000},
	"premium":  {reads: 20_000, writes: 4_000, deletes: 4_000, listings: 2_000, signIns: 20_000},
}

// Limiter counts requests for each registry and each identity in it, in this process. It
// is safe for concurrent use.
type Limiter struct {
	limits map[class]int

	mu      sync.Mutex
	windows map[counted]*window
	swept   time.Time
}

// counted is what is counted together; without who it is all of the registry.
type counted struct {
	registry, who string
	class         class
}

// window is a minute that begins with a request.
type window struct {
	began time.Time
	n     int
}

const minute = time.Minute

// NewLimiter returns a limiter with a preset: basic, standard, premium.
func NewLimiter(preset string) (*Limiter, error) {
	limits, ok := presets[preset]
	if !ok {
		return nil, fmt.Errorf("%q is none of %s", preset, strings.Join(slices.Sorted(maps.Keys(presets)), ", "))
	}
	return &Limiter{limits: limits, windows: map[counted]*window{}}, nil
}

// take counts a request, unless it is one too many: then it returns how long to wait, and
// how many there may be.
func (l *Limiter) take(registry, who string, class class, now time.Time) (wait time.Duration, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	all, own := l.window(counted{registry, "", class}, now), l.window(counted{registry, who, class}, now)
	switch limit = l.limits[class]; {
	case own.n >= limit/2:
		return own.began.Add(minute).Sub(now), limit / 2
	case all.n >= limit:
		return all.began.Add(minute).Sub(now), limit
	}
	all.n++
	own.n++
	return 0, 0
}

func (l *Limiter) window(key counted, now time.Time) *window {
	w := l.windows[key]
	if w == nil || now.Sub(w.began) >= minute {
		w = &window{began: now}
		l.windows[key] = w
	}
	return w
}

// sweep forgets windows that are over, once a minute.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < minute {
		return
	}
	l.swept = now
	maps.DeleteFunc(l.windows, func(_ counted, w *window) bool { return now.Sub(w.began) >= minute })
}

func (r request) class(method string) class {
	switch {
	case r.Kind == exchange || r.Kind == tokens:
		return signIns
	case r.Kind == referrers:
		return listings
	case method == http.MethodDelete:
		return deletes
	case method == http.MethodGet || method == http.MethodHead:
		return reads
	}
	return writes
}

// limit counts the request of a subject, or refuses it. Who has not signed in is counted
// nowhere: else anybody could use up what a registry may have.
func (c *call) limit(subject token.Subject) error {
	l := c.server.Limiter
	if l == nil {
		return nil
	}
	who := string(subject.Principal) + subject.Run + subject.Admin + subject.Token
	if who == "" {
		who = "anonymous"
	}
	class := c.req.class(c.Method)
	wait, most := l.take(c.name, who, class, c.now)
	if most == 0 {
		return nil
	}
	c.w.Header().Set("Retry-After", strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second))))
	return problem.New(problem.Limited, "TOOMANYREQUESTS", "more than %d %s requests in a minute", most, class)
}

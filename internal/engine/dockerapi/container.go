package dockerapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/signal"

	"github.com/acrux/acrux/internal/arm/problem"
)

// containers lists containers.
func (h *Handler) containers(w http.ResponseWriter, r *http.Request) error {
	wanted, err := readFilters(r, "id", "name", "status", "ancestor", "label", "network")
	if err != nil {
		return err
	}
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit")) // what is no number is no limit
	all := flag(r, "all") || limit > 0 || len(wanted["status"]) > 0
	list := []map[string]any{}
	for _, c := range h.engine.Containers() {
		if !all && c.State != Running || !wanted.match(c) {
			continue
		}
		list = append(list, c.summary())
		if limit > 0 && len(list) == limit {
			break
		}
	}
	answer(w, http.StatusOK, list)
	return nil
}

// filters are those of a listing, by name.
type filters map[string][]string

// readFilters reads filters in both of docker's forms, and refuses those not offered.
func readFilters(r *http.Request, offered ...string) (filters, error) {
	text := r.URL.Query().Get("filters")
	if text == "" {
		return nil, nil
	}
	found := filters{}
	var sets map[string]map[string]bool
	if err := json.Unmarshal([]byte(text), &sets); err == nil {
		for name, values := range sets {
			for value := range values {
				found[name] = append(found[name], value)
			}
		}
	} else if err := json.Unmarshal([]byte(text), &found); err != nil {
		return nil, problem.New(problem.Invalid, "BadFilter", "invalid filter: %v", err)
	}
	for name := range found {
		if !slices.Contains(offered, name) {
			return nil, problem.New(problem.Invalid, "BadFilter", "invalid filter '%s'", name)
		}
	}
	return found, nil
}

// match reports whether a container has one of the values of each filter.
func (f filters) match(c Container) bool {
	tests := map[string]func(string) bool{
		"id":       func(v string) bool { return strings.HasPrefix(c.ID, v) },
		"name":     func(v string) bool { return strings.Contains("/"+c.Name, v) },
		"status":   func(v string) bool { return v == string(c.State) },
		"ancestor": func(v string) bool { return v == c.Spec.Image || v == c.ImageID || v+":latest" == c.Spec.Image },
		"network":  func(v string) bool { return v == c.Spec.Network },
		"label": func(v string) bool {
			name, value, valued := strings.Cut(v, "=")
			have, ok := c.Spec.Labels[name]
			return ok && (!valued || have == value)
		},
	}
	for name, values := range f {
		if !slices.ContainsFunc(values, tests[name]) {
			return false
		}
	}
	return true
}

func (h *Handler) start(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	if c.State == Running {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if err := h.engine.Start(r.Context(), c.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// stopGrace is how long a container has to end when it is stopped, if nobody says.
const stopGrace = 10 * time.Second

// stop asks a container to end, and kills it if it does not.
func (h *Handler) stop(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	if c.State != Running {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	grace := stopGrace
	seconds := c.Spec.StopTimeout
	if text := r.URL.Query().Get("t"); text != "" {
		given, err := strconv.Atoi(text)
		if err != nil {
			return problem.New(problem.Invalid, "BadTimeout", "invalid timeout: %s", text)
		}
		seconds = &given
	}
	if seconds != nil {
		if grace = time.Duration(*seconds) * time.Second; *seconds < 0 {
			grace = 365 * 24 * time.Hour // longer than any run
		}
	}
	number := c.StopSignal
	if name := r.URL.Query().Get("signal"); name != "" {
		if number, err = parseSignal(name); err != nil {
			return err
		}
	}
	if err := h.end(r.Context(), c, number, grace); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// end sends a signal and, if the container has not ended some time later, KILL. One that
// is not kept is gone then.
func (h *Handler) end(ctx context.Context, c Container, number int, grace time.Duration) error {
	id, gone := c.ID, c.Spec.AutoRemove
	if err := h.engine.Signal(id, number); err != nil {
		return ignoreEnded(err)
	}
	limited, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_, err := h.engine.Wait(limited, id, gone)
	if err == nil || ctx.Err() != nil || problem.Is(err, problem.NotFound) {
		return ignoreEnded(err)
	}
	if err := h.engine.Signal(id, int(signal.SignalMap["KILL"])); err != nil {
		return ignoreEnded(err)
	}
	_, err = h.engine.Wait(ctx, id, gone)
	return ignoreEnded(err)
}

// ignoreEnded drops the error of a container that ended meanwhile, as was wanted.
func ignoreEnded(err error) error {
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Conflict) {
		return nil
	}
	return err
}

func parseSignal(name string) (int, error) {
	number, err := signal.ParseSignal(name)
	if err != nil {
		return 0, problem.New(problem.Invalid, "BadSignal", "invalid signal: %s", name)
	}
	return int(number), nil
}

func (h *Handler) kill(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	number, err := parseSignal(cmp.Or(r.URL.Query().Get("signal"), "KILL"))
	if err != nil {
		return err
	}
	if c.State != Running {
		return problem.New(problem.Conflict, "NotRunning", "container %s is not running", c.ID)
	}
	if err := h.engine.Signal(c.ID, number); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) remove(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	if flag(r, "link") {
		return notOffered("removing a link")
	}
	if c.State == Running && !flag(r, "force") {
		return problem.New(problem.Conflict, "Running", "cannot remove container \"/%s\": container is running: stop the container before removing or force remove", c.Name)
	}
	if err := h.engine.Remove(r.Context(), c.ID, flag(r, "force")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// wait answers when a container has ended. The head of the answer comes at once: clients
// wait for it before they start the container.
func (h *Handler) wait(w http.ResponseWriter, r *http.Request) error {
	c, err := h.engine.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	condition := r.URL.Query().Get("condition")
	switch condition {
	case "", "not-running", "next-exit", "removed":
	default:
		return problem.New(problem.Invalid, "BadCondition", "invalid condition: %q", condition)
	}
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // there is nobody to tell
	code := c.ExitCode
	if condition != "" && condition != "not-running" || c.State == Running {
		if code, err = h.engine.Wait(r.Context(), c.ID, condition == "removed"); err != nil && !errors.Is(err, context.Cause(r.Context())) {
			_ = json.NewEncoder(w).Encode(map[string]any{"StatusCode": -1, "Error": map[string]string{"Message": err.Error()}})
			return nil
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"StatusCode": code})
	return nil
}

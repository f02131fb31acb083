package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/acrux/acrux/internal/arm/problem"
)

// The versions of the API that are understood, and what stands for a version of docker.
const (
	version        = "1.47"
	oldestVersion  = "1.24"
	serverVersion  = "27.5.1"
	maxBody        = 512 << 10 // of a request that is JSON; containers and processes are remembered with it
	maxContext     = 4 << 30   // of a build
	maxExecs       = 256       // that are remembered
	contentJSON    = "application/json"
	contentStream  = "application/vnd.docker.raw-stream"
	contentFrames  = "application/vnd.docker.multiplexed-stream"
	builderVersion = "1" // the classic builder: its client sends a tar and shows what comes
)

// Handler serves the API for one run. It is safe for concurrent use.
type Handler struct {
	engine Engine
	log    *slog.Logger
	mux    *http.ServeMux

	mu    sync.Mutex
	execs map[string]*exec
	order []string // of execs, oldest first
}

// New returns a handler. The log takes what is not the caller's fault.
func New(e Engine, log *slog.Logger) *Handler {
	h := &Handler{engine: e, log: log, mux: http.NewServeMux(), execs: map[string]*exec{}}
	h.routes()
	return h
}

// routes is the table of contents.
func (h *Handler) routes() {
	h.on("GET /_ping", h.ping)
	h.on("HEAD /_ping", h.ping)
	h.on("GET /version", h.version)
	h.on("GET /info", h.info)
	h.on("POST /auth", h.auth)

	h.on("GET /containers/json", h.containers, "all", "limit", "filters")
	h.on("POST /containers/create", h.create, "name", "platform")
	h.on("GET /containers/{id}/json", h.inspect)
	h.on("GET /containers/{id...}", h.noContainer)
	h.on("POST /containers/{id}/start", h.start)
	h.on("POST /containers/{id}/attach", h.attach, "detachKeys", "logs", "stream", "stdin", "stdout", "stderr")
	h.on("GET /containers/{id}/logs", h.logs, "stdout", "stderr", "since", "until", "timestamps", "follow", "tail")
	h.on("POST /containers/{id}/wait", h.wait, "condition")
	h.on("POST /containers/{id}/stop", h.stop, "t", "signal")
	h.on("POST /containers/{id}/kill", h.kill, "signal")
	h.on("DELETE /containers/{id}", h.remove, "force", "link", "v")
	h.on("POST /containers/{id}/exec", h.createExec)
	h.on("POST /exec/{id}/start", h.startExec)
	h.on("GET /exec/{id}/json", h.inspectExec)
	// There are no terminals; a client that resizes one has nothing to lose.
	h.on("POST /containers/{id}/resize", h.resize, "h", "w")
	h.on("POST /exec/{id}/resize", h.resize, "h", "w")

	h.on("GET /images/json", h.images, "all", "digests", "filters")
	h.on("POST /images/create", h.pull, "fromImage", "fromSrc", "tag", "platform")
	h.on("GET /images/{name...}", h.imageInspect, "names") // of images/get, which is not offered by its path
	h.on("POST /images/{name...}", h.imageAction, "repo", "tag")
	h.on("DELETE /images/{name...}", h.untag, "force", "noprune")
	h.on("POST /build", h.build, buildOptions...)
	h.on("POST /session", h.buildkit)
	h.on("POST /grpc", h.buildkit)

	h.on("GET /networks", h.networks, "filters")
	h.on("GET /networks/{name}", h.network, "scope")
	h.on("POST /networks/create", h.createNetwork)
	h.on("DELETE /networks/{name}", h.removeNetwork)
	h.on("GET /plugins/{name}/json", h.noPlugin)
	h.on("GET /volumes", h.volumes, "filters")
	h.on("GET /volumes/{name}", h.volume)
	h.on("POST /volumes/create", h.createVolume)
	h.on("DELETE /volumes/{name}", h.removeVolume, "force")

	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, notOffered(r.Method+" "+r.URL.Path))
	})
}

// noContainer answers clients that look for something by its name, whatever it is: as a
// container first. A container's name has no slash.
func (h *Handler) noContainer(w http.ResponseWriter, r *http.Request) error {
	if name, ok := strings.CutSuffix(r.PathValue("id"), "/json"); ok && strings.Contains(name, "/") {
		return problem.New(problem.NotFound, "NoSuchContainer", "No such container: %s", name)
	}
	return notOffered(r.Method + " " + r.URL.Path)
}

// noPlugin is for the same clients: they ask for plugins last.
func (h *Handler) noPlugin(_ http.ResponseWriter, r *http.Request) error {
	return problem.New(problem.NotFound, "NoSuchPlugin", "plugin %q not found", r.PathValue("name"))
}

func notOffered(what string) error {
	return problem.New(problem.Unsupported, "NotOffered", "%s is not offered to steps: they have the containers, images, networks and volumes of their run", what)
}

// handle is a handler whose error is answered.
type handle func(w http.ResponseWriter, r *http.Request) error

// on serves a path with a handler that looks at these parameters.
func (h *Handler) on(pattern string, f handle, looked ...string) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		err := checkQuery(r, looked)
		if err == nil {
			err = f(w, r)
		}
		if err != nil {
			h.fail(w, r, err)
		}
	})
}

var versioned = regexp.MustCompile(`^/v(\d+)\.(\d+)(/.*)$`)

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", version)
	w.Header().Set("Ostype", "linux")
	w.Header().Set("Builder-Version", builderVersion)
	w.Header().Set("Server", "Docker/"+serverVersion+" (linux)")
	if found := versioned.FindStringSubmatch(r.URL.Path); found != nil {
		if err := checkVersion(found[1], found[2]); err != nil {
			h.fail(w, r, err)
			return
		}
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = found[3], ""
	}
	h.mux.ServeHTTP(w, r)
}

func checkVersion(major, minor string) error {
	asked := major + "." + minor
	n, err := strconv.Atoi(minor)
	switch newest, oldest := minorOf(version), minorOf(oldestVersion); {
	case err != nil || major != "1" || n > newest:
		return problem.New(problem.Invalid, "ClientTooNew", "client version %s is too new. Maximum supported API version is %s", asked, version)
	case n < oldest:
		return problem.New(problem.Invalid, "ClientTooOld", "client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", asked, oldestVersion)
	}
	return nil
}

func minorOf(version string) int {
	_, minor, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(minor) // it is one of ours
	return n
}

// fail answers with an error. After the answer has begun there is nothing to say any more.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Error
	status, text := http.StatusInternalServerError, "internal error; the log of the agent has more"
	switch {
	case errors.As(err, &p) && p.Kind != problem.Internal:
		status, text = p.Kind.Status(), p.Message
		if len(p.Hints) > 0 {
			text += "\nhint: " + p.Hints[0]
		}
	case r.Context().Err() != nil:
		status, text = http.StatusServiceUnavailable, fmt.Sprint("the run ends: ", context.Cause(r.Context()))
	default:
		h.log.Error("a request of a step for its containers failed", "request", r.Method+" "+r.URL.Path, "error", err)
	}
	answer(w, status, map[string]string{"message": text})
}

// answer answers with JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked is gone
}

// decode reads a body of JSON. An empty one leaves into as it is.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into)
	if err != nil && err.Error() != "EOF" {
		return problem.New(problem.Invalid, "BadBody", "the body of the request cannot be read: %v", err)
	}
	return nil
}

// flag reads a boolean of the query as docker does.
func flag(r *http.Request, name string) bool {
	switch strings.ToLower(r.URL.Query().Get(name)) {
	case "", "0", "false", "no", "none":
		return false
	}
	return true
}

func (h *Handler) ping(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	_, _ = w.Write([]byte("OK"))
	return nil
}

func (h *Handler) version(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, map[string]any{
		"Platform": map[string]string{"Name": "Acrux, for one run"}, "Version": serverVersion, "ApiVersion": version, "MinAPIVersion": oldestVersion,
		"Os": "linux", "Arch": runtime.GOARCH, "GoVersion": runtime.Version(), "Components": []any{},
	})
	return nil
}

func (h *Handler) info(w http.ResponseWriter, r *http.Request) error {
	counts := map[State]int{}
	all := h.engine.Containers()
	for _, c := range all {
		counts[c.State]++
	}
	images, err := h.engine.Images(r.Context())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{
		"ID": "acrux", "Name": "acrux", "ServerVersion": serverVersion, "OperatingSystem": "Acrux", "OSType": "linux", "Architecture": runtime.GOARCH,
		"NCPU": runtime.NumCPU(), "Driver": "overlayfs", "Containers": len(all), "ContainersRunning": counts[Running],
		"ContainersPaused": 0, "ContainersStopped": len(all) - counts[Running], "Images": len(images),
		"Plugins":  map[string]any{"Volume": []string{"local"}, "Network": []string{"bridge"}, "Log": []string{"json-file"}},
		"Warnings": []string{}, "RegistryConfig": map[string]any{"IndexConfigs": map[string]any{}},
		"Swarm": map[string]any{"LocalNodeState": "inactive"}, "SecurityOptions": []string{"name=seccomp,profile=builtin"},
	})
	return nil
}

func (h *Handler) resize(http.ResponseWriter, *http.Request) error { return nil }

package mirror_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/servertest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// source is a registry that does what a test wants of it.
type source struct {
	*httptest.Server
	onBlob     http.HandlerFunc // serves GETs of blobs; nil serves what is there, in ranges
	onManifest http.HandlerFunc
	before     func(http.ResponseWriter, *http.Request) bool // false if it answered

	mu    sync.Mutex
	blobs map[string]string // by digest
	files map[string]string // manifests by tag and digest
	types map[string]string
	asked []string // the paths and ranges of GETs of blobs
}

func newSource(t testing.TB) *source {
	s := &source{blobs: map[string]string{}, files: map[string]string{}, types: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *source) host() string { return s.Listener.Addr().String() }

func (s *source) serve(w http.ResponseWriter, r *http.Request) {
	if s.before != nil && !s.before(w, r) {
		return
	}
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	s.mu.Lock()
	blob, isBlob := s.blobs[name]
	file, isFile := s.files[name]
	if isBlob {
		s.asked = append(s.asked, strings.TrimSpace(name[7:15]+" "+r.Header.Get("Range")))
	}
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/v2/":
	case strings.Contains(r.URL.Path, "/blobs/") && isBlob && s.onBlob != nil:
		s.onBlob(w, r)
	case strings.Contains(r.URL.Path, "/blobs/") && isBlob:
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(blob))
	case strings.Contains(r.URL.Path, "/manifests/") && isFile && s.onManifest != nil:
		s.onManifest(w, r)
	case strings.Contains(r.URL.Path, "/manifests/") && isFile:
		w.Header().Set("Content-Type", s.types[name])
		_, _ = w.Write([]byte(file))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// of is the blob that a request asks for.
func (s *source) of(r *http.Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
}

func (s *source) blob(content string) v1.Descriptor {
	d := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString(content), Size: int64(len(content))}
	s.blobs[d.Digest.String()] = content
	return d
}

func (s *source) manifest(t testing.TB, mediaType string, body any) v1.Descriptor {
	t.Helper()
	text, err := json.Marshal(body)
	must(t, err)
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	s.files[d.Digest.String()], s.types[d.Digest.String()] = string(text), mediaType
	return d
}

func (s *source) tag(d v1.Descriptor, tag string) v1.Descriptor {
	s.files[tag], s.types[tag] = s.files[d.Digest.String()], d.MediaType
	return d
}

func (s *source) image(t testing.TB, layers ...v1.Descriptor) v1.Descriptor {
	config := s.blob("{}")
	config.MediaType = v1.MediaTypeImageConfig
	return s.manifest(t, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config, Layers: layers})
}

func (s *source) index(t testing.TB, children ...v1.Descriptor) v1.Descriptor {
	return s.manifest(t, v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: children})
}

// world is an installation that imports, with little patience.
type world struct {
	*servertest.World
	t *testing.T
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{servertest.New(t), t}
	w.Imports.Pause, w.Imports.Stall = time.Millisecond, 10*time.Second
	return w
}

// work works on imports until the function it returns is called.
func (w world) work() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Queue.Run(ctx) }()
	return func() { cancel(); must(w.t, <-done) }
}

func (w world) begin(host, image, more string) (operation string) {
	w.t.Helper()
	a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/importImage", `{"source":{"registryUri":"`+host+`","sourceImage":"`+image+`"`+more+`}`)
	if a.Status != http.StatusAccepted {
		w.t.Fatalf("%d %s", a.Status, a.Body)
	}
	return strings.TrimPrefix(a.Header.Get("Azure-Asyncoperation"), w.URL("management"))
}

func (w world) status(operation string) servertest.Answer {
	w.t.Helper()
	return w.ARM(w.Admin, http.MethodGet, operation, "")
}

// end waits for the end of an import and returns its code and message, or nothing.
func (w world) end(operation string) (code, message string) {
	w.t.Helper()
	for {
		a := w.status(operation)
		if a.At("status") == "InProgress" {
			continue
		}
		code, _ = a.At("error", "code").(string)
		message, _ = a.At("error", "message").(string)
		return code, message
	}
}

// importing imports image v1 of a source into mine:v1.
func (w world) importing(s *source) (code, message string) {
	w.t.Helper()
	stop := w.work()
	defer stop()
	return w.end(w.begin(s.host(), "team/app:v1", `},"targetTags":["mine:v1"]`))
}

func (w world) content(repository string, d digest.Digest) string {
	w.t.Helper()
	name := registry.Name{Registry: "myregistry", Repository: repository}
	b, err := w.Content.Blob(w.t.Context(), name, d)
	must(w.t, err)
	r, err := w.Content.OpenBlob(w.t.Context(), name, b)
	must(w.t, err)
	defer r.Close()
	var text strings.Builder
	_, err = r.WriteTo(&text, 0, b.Size)
	must(w.t, err)
	return text.String()
}

// long is content that differs from place to place.
func long(seed string, n int) string {
	var text strings.Builder
	for i := 0; text.Len() < n; i++ {
		fmt.Fprint(&text, seed, i, " ")
	}
	return text.String()[:n]
}

// Four blobs come at the same time, each once, however often it is named and wherever it
// goes; meanwhile the operation says how far it is.
func TestParallel(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	var layers []v1.Descriptor
	for i := range 6 {
		layers = append(layers, s.blob(long(fmt.Sprint("layer", i), 100_000)))
	}
	one, two := s.image(t, layers...), s.image(t, layers[0], layers[5], layers[0])
	s.tag(s.index(t, one, two), "v1")
	var mu sync.Mutex
	under, most := 0, 0
	four, seen := make(chan bool), make(chan bool)
	s.onBlob = func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if under++; under == 4 && most < 4 {
			close(four)
		}
		most = max(most, under)
		mu.Unlock()
		<-seen
		mu.Lock()
		under--
		mu.Unlock()
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(s.of(r)))
	}
	defer w.work()()
	operation := w.begin(s.host(), "team/app:v1", `},"targetTags":["mine:v1","other/mine:v1","mine:v2"]`)
	<-four
	if got := w.status(operation).At("properties", "progress"); got != "0 of 7 blobs, 0.0 of 0.6 MB" {
		t.Errorf("the progress is %v", got)
	}
	close(seen)
	if code, message := w.end(operation); code != "" {
		t.Fatal(code, message)
	}
	if most != 4 || len(s.asked) != 7 {
		t.Errorf("at most %d at once; asked for %q", most, s.asked)
	}
	for _, repository := range []string{"mine", "other/mine"} {
		for _, layer := range layers {
			if w.content(repository, layer.Digest) != s.blobs[layer.Digest.String()] {
				t.Errorf("%s: %s is damaged", repository, layer.Digest)
			}
		}
	}
}

// A connection that breaks or stalls is made anew and goes on where it was.
func TestBroken(t *testing.T) {
	layer := long("layer", 300_000)
	for name, test := range map[string]struct {
		ranges bool
		end    func(r *http.Request)
	}{
		"broken":                 {true, func(*http.Request) { panic(http.ErrAbortHandler) }},
		"broken, without ranges": {false, func(*http.Request) { panic(http.ErrAbortHandler) }},
		"stalled":                {true, func(r *http.Request) { <-r.Context().Done() }},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newWorld(t), newSource(t)
			w.Imports.Stall = 200 * time.Millisecond
			d := s.blob(layer)
			s.tag(s.image(t, d), "v1")
			breaks := 0
			s.onBlob = func(rw http.ResponseWriter, r *http.Request) {
				if !test.ranges {
					r.Header.Del("Range")
				}
				if s.of(r) == layer && breaks < 3 {
					breaks++
					rw = &short{ResponseWriter: rw, left: 100_000 * breaks, end: func() { test.end(r) }}
				}
				http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(s.of(r)))
			}
			if code, message := w.importing(s); code != "" {
				t.Fatal(code, message)
			}
			if w.content("mine", d.Digest) != layer || breaks < 2 {
				t.Errorf("the blob is damaged, or broke %d times only", breaks)
			}
			resumed := 0
			for _, asked := range s.asked {
				if strings.Contains(asked, "bytes=") {
					resumed++
				}
			}
			if resumed == 0 {
				t.Errorf("it asked for %q", s.asked)
			}
		})
	}
}

// short ends an answer early.
type short struct {
	http.ResponseWriter
	left int
	end  func()
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) < s.left {
		s.left -= len(p)
		return s.ResponseWriter.Write(p)
	}
	_, _ = s.ResponseWriter.Write(p[:s.left])
	s.ResponseWriter.(http.Flusher).Flush()
	s.end()
	return s.left, http.ErrAbortHandler
}

// What a source says that is not so ends an import with a reason, and leaves nothing.
func TestLies(t *testing.T) {
	layer := long("layer", 50_000)
	other := long("other", 50_000)
	answer := func(body string, head ...string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(head); i += 2 {
				rw.Header().Set(head[i], head[i+1])
			}
			_, _ = rw.Write([]byte(body))
		}
	}
	endless := func(chunk string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := rw.Write([]byte(chunk)); err != nil {
					return
				}
			}
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, to, http.StatusFound) }
	}
	for name, test := range map[string]struct {
		onBlob, onManifest http.HandlerFunc
		code, message      string
	}{
		"another content":          {onBlob: answer(other), code: "SourceFailed", message: "than its digest says"},
		"an endless one":           {onBlob: endless(other), code: "SourceFailed", message: "than its digest says"},
		"too short":                {onBlob: answer(layer[:10_000], "Content-Length", "10000"), code: "SourceFailed", message: "10000 bytes of blob"},
		"too long":                 {onBlob: answer(layer+other, "Content-Length", "100000"), code: "SourceFailed", message: "100000 bytes of blob"},
		"nothing, again and again": {onBlob: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, code: "SourceUnreachable"},
		"a blob that is not there": {onBlob: func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(404) },
			code: "ImageIncomplete", message: digest.FromString(layer).String()},
		"a blob that is denied":   {onBlob: func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(403) }, code: "SourceDenied"},
		"always out of order":     {onBlob: func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) }, code: "SourceFailed", message: "503"},
		"to the cloud's metadata": {onBlob: redirect("http://169.254.169.254/latest/meta-data"), code: "AddressNotAllowed"},
		"in circles":              {onBlob: redirect("/v2/team/app/blobs/" + digest.FromString(layer).String()), code: "SourceUnreachable", message: "redirects"},
		"an endless manifest":     {onManifest: endless(strings.Repeat(" ", 1<<16)), code: "SourceUnreachable"},
		"no manifest":             {onManifest: answer("hello", "Content-Type", v1.MediaTypeImageManifest), code: "InvalidParameterValue"},
		"an old manifest":         {onManifest: answer("{}", "Content-Type", "application/vnd.docker.distribution.manifest.v1+json"), code: "InvalidParameterValue"},
		"a negative size": {onManifest: answer(`{"schemaVersion":2,"config":{"digest":"`+digest.FromString("{}").String()+`","size":-2,"mediaType":"`+v1.MediaTypeImageConfig+`"},"layers":[]}`,
			"Content-Type", v1.MediaTypeImageManifest), code: "InvalidParameterValue", message: "-2 bytes"},
		"a path for a digest": {onManifest: answer(`{"schemaVersion":2,"config":{"digest":"sha256:../../../x","size":2,"mediaType":"`+v1.MediaTypeImageConfig+`"},"layers":[]}`,
			"Content-Type", v1.MediaTypeImageManifest), code: "InvalidParameterValue"},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newWorld(t), newSource(t)
			s.tag(s.image(t, s.blob(layer)), "v1")
			s.onManifest = test.onManifest
			if test.onBlob != nil {
				s.onBlob = func(rw http.ResponseWriter, r *http.Request) {
					if s.of(r) == layer {
						test.onBlob(rw, r)
						return
					}
					http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(s.of(r)))
				}
			}
			code, message := w.importing(s)
			if code != test.code || !strings.Contains(message, test.message) {
				t.Errorf("%s: %s", code, message)
			}
			name := registry.Name{Registry: "myregistry", Repository: "mine"}
			if _, err := w.Content.Manifest(t.Context(), name, "v1"); err == nil {
				t.Error("there is a tag all the same")
			}
			if _, err := w.Content.Blob(t.Context(), name, digest.FromString(layer)); err == nil {
				t.Error("the blob is kept all the same")
			}
		})
	}
}

// Another manifest than the index names is none of it.
func TestOtherChild(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	child := s.image(t, s.blob("layer"))
	s.tag(s.index(t, child), "v1")
	s.files[child.Digest.String()] += " "
	if code, message := w.importing(s); code != "SourceUnreachable" || !strings.Contains(message, "does not match") {
		t.Errorf("%s: %s", code, message)
	}
}

// Blobs may lie elsewhere: a redirect is followed, without the credentials.
func TestRedirect(t *testing.T) {
	w, s, store := newWorld(t), newSource(t), newSource(t)
	d := s.blob(long("layer", 100_000))
	store.blob(s.blobs[d.Digest.String()])
	store.blob("{}")
	s.tag(s.image(t, d), "v1")
	s.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "me" && password == "hush" {
			return true
		}
		rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return false
	}
	s.onBlob = func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "http://localhost:"+store.host()[strings.LastIndex(store.host(), ":")+1:]+r.URL.Path, http.StatusTemporaryRedirect)
	}
	store.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("the store was sent credentials")
		}
		return true
	}
	defer w.work()()
	if code, message := w.end(w.begin(s.host(), "team/app:v1", `,"credentials":{"username":"me","password":"hush"}},"targetTags":["mine:v1"]`)); code != "" {
		t.Fatal(code, message)
	}
	if w.content("mine", d.Digest) != s.blobs[d.Digest.String()] || len(store.asked) != 2 {
		t.Errorf("the store was asked for %q", store.asked)
	}
}

// A name or an address that looks private is none for which a source may do without TLS:
// credentials would pass along in clear.
func TestNothingInClear(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	var heard atomic.Int32
	s.before = func(http.ResponseWriter, *http.Request) bool { heard.Add(1); return true }
	s.tag(s.image(t, s.blob("layer")), "v1")
	_, port, err := net.SplitHostPort(s.host())
	must(t, err)
	names := []string{"registry.local:" + port, "10.1.2.3:" + port, "192.168.1.2:" + port, "[fd00::1]:" + port}
	own := w.Dialer.Own
	w.Dialer.Own = func(host string) (string, bool) {
		if slices.Contains(names, host) {
			return s.host(), true
		}
		return own(host)
	}
	defer w.work()()
	for _, name := range names {
		code, message := w.end(w.begin(name, "team/app:v1", `,"credentials":{"username":"me","password":"hush"}},"targetTags":["mine:v1"]`))
		if code != "SourceUnreachable" || heard.Load() != 0 {
			t.Errorf("%s: %s %s; it heard %d requests", name, code, message, heard.Load())
		}
	}
}

// A source with tokens of its own, which run out in the middle.
func TestTokens(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	d := s.blob(long("layer", 100_000))
	top := s.tag(s.image(t, d), "v1")
	var mu sync.Mutex
	issued, used := 0, 0
	s.before = func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/token" {
			if user, password, _ := r.BasicAuth(); user != "me" || password != "hush" || r.URL.Query().Get("scope") != "repository:team/app:pull" {
				rw.WriteHeader(http.StatusForbidden)
				return false
			}
			issued, used = issued+1, 0
			_, _ = fmt.Fprintf(rw, `{"token":"t%d"}`, issued)
			return false
		}
		if used++; r.Header.Get("Authorization") == fmt.Sprintf("Bearer t%d", issued) && used < 3 {
			return true
		}
		rw.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="s"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return false
	}
	defer w.work()()
	if code, message := w.end(w.begin(s.host(), "team/app@"+top.Digest.String(), `,"credentials":{"username":"me","password":"hush"}},"untaggedTargetRepositories":["mine"]`)); code != "" {
		t.Fatal(code, message)
	}
	if issued < 2 || w.content("mine", d.Digest) != s.blobs[d.Digest.String()] {
		t.Errorf("%d tokens", issued)
	}
	if code, _ := w.end(w.begin(s.host(), "team/app:v1", `,"credentials":{"username":"me","password":"wrong"}},"targetTags":["mine:v2"]`)); code != "SourceDenied" {
		t.Errorf("with a wrong password: %s", code)
	}
}

// Indexes in indexes come whole, and are bounded.
func TestDeep(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	d := s.image(t, s.blob("layer"))
	for range 100 {
		d = s.index(t, d)
	}
	s.tag(d, "v1")
	if code, message := w.importing(s); code != "" {
		t.Fatal(code, message)
	}
	all, err := w.Content.Manifests(t.Context(), registry.Name{Registry: "myregistry", Repository: "mine"}, registry.ManifestQuery{})
	must(t, err)
	if len(all) != 101 {
		t.Errorf("%d manifests came", len(all))
	}
}

func TestTooMany(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	var children []v1.Descriptor
	for i := range 2001 {
		children = append(children, s.index(t, v1.Descriptor{MediaType: v1.MediaTypeImageIndex, Digest: s.index(t).Digest, Size: int64(i)}))
	}
	s.tag(s.index(t, children...), "v1")
	code, message := w.importing(s)
	if diff := cmp.Diff("InvalidParameterValue", code); diff != "" {
		t.Error(diff, message)
	}
}

// full is a store without space.
type full struct{ blob.Store }

func (f full) Start(ctx context.Context) (blob.Upload, error) {
	u, err := f.Store.Start(ctx)
	return noSpace{u}, err
}

type noSpace struct{ blob.Upload }

func (noSpace) ReadFrom(io.Reader) (int64, error) {
	return 0, &fs.PathError{Op: "write", Path: "/secret/place", Err: syscall.ENOSPC}
}

// A disk that is full ends an import with words of its own, and when it is not any more
// the next one succeeds.
func TestNoSpace(t *testing.T) {
	w, s := newWorld(t), newSource(t)
	d := s.blob("layer")
	s.tag(s.image(t, d), "v1")
	store := w.Content.Blobs
	w.Content.Blobs = full{store}
	code, message := w.importing(s)
	if code != "InsufficientStorage" || strings.Contains(message, "/secret/place") {
		t.Errorf("%s: %s", code, message)
	}
	w.Content.Blobs = store
	if code, message := w.importing(s); code != "" || w.content("mine", d.Digest) != "layer" {
		t.Errorf("%s: %s", code, message)
	}
}

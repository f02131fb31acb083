package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	dockerfilefrontend "github.com/moby/buildkit/frontend/dockerfile/builder"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"

	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/sandbox/buildlog"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// Request is one build. The fields are those of engine.Build.
type Request struct {
	RunID  string
	Images *imagestore.Run
	Login  imagestore.Login

	Workspace  string // what lies below it may change during the build
	ContextDir string
	Dockerfile string
	Tags       []string
	Args       map[string]string
	Labels     map[string]string
	Target     string
	Platform   string
	NoCache    bool
	AddHosts   []string
	NoNetwork  bool
	Secrets    map[string][]byte
	Hide       func(string) string // takes secrets out of the image's history; nil leaves it
	Plain      bool                // plain BuildKit output instead of the classic one
	CacheScope string              // what layers and cache mounts are shared within
	CacheFrom  []Cache
	CacheTo    []Cache
	Keys       map[string][]byte // private keys by the IDs of RUN --mount=type=ssh
	Contexts   map[string]string // images ("docker-image://…") and directories by name
	ShmSize    int64
	Ulimits    []string
}

// Cache is a cache in a registry, or inline in the image.
type Cache struct {
	Kind    string
	Options map[string]string
}

// Result is how a build ended. If it is not OK, the reason was printed.
type Result struct {
	OK      bool
	ImageID string // digest of the configuration
	Digest  string // digest of the manifest
	Bases   []Base
	Layers  int // instructions that make layers
	Cached  int // those of them that the cache had
	// Refused is by what the build failed, if a registry refused a base image.
	Refused *registryclient.Refusal
}

// Base is an image that the Dockerfile named and a registry resolved.
type Base struct {
	Reference string // as written, arguments replaced
	Digest    string
}

// userError is a mistake in the request or in the Dockerfile, in docker's words.
type userError struct{ text string }

func (e userError) Error() string { return e.text }

// service is the BuildKit that builds.
type service struct {
	client *client.Client
	place  Place // where a remote one has its images; nil has them in the store of the run's
}

// build builds an image, prints its progress to out and keeps it under its tags for
// the run. An error is not the user's fault, or ctx's cause.
func (s service) build(ctx context.Context, r Request, out io.Writer) (Result, error) {
	result, err := s.attempt(ctx, r, out)
	var user userError
	if errors.As(err, &user) {
		_, err = fmt.Fprintln(out, user.text)
	}
	return result, err
}

func (s service) attempt(ctx context.Context, r Request, out io.Writer) (Result, error) {
	p, err := prepare(r)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	if s.place != nil {
		p.remoteName = s.place.NewName()
	}
	return s.solve(ctx, p, out)
}

// prepared is a request whose parts were looked at.
type prepared struct {
	Request
	platform *ocispec.Platform
	tags     []reference.Named
	source   []byte
	file     *dockerfile
	context  *rootedFS
	shown    fsutil.FS // what COPY and ADD see of the context
	beside   *rootedFS // the Dockerfile's directory
	secrets  secrets
	agents   *agents
	folders  map[string]*rootedFS // contexts by name

	remoteName string // under which a remote BuildKit exports the image
}

// close lets go of the directories.
func (p *prepared) close() {
	for _, dir := range []*rootedFS{p.context, p.beside} {
		if dir != nil {
			dir.root.Close()
		}
	}
	for _, dir := range p.folders {
		dir.root.Close()
	}
}

func prepare(r Request) (_ *prepared, err error) {
	p := &prepared{Request: r, secrets: newSecrets(r.Secrets), folders: map[string]*rootedFS{}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for _, tag := range r.Tags {
		named, err := imagestore.Parse(tag)
		if err != nil {
			return nil, userError{fmt.Sprintf("invalid argument %q for \"-t, --tag\" flag: invalid reference format", tag)}
		}
		p.tags = append(p.tags, named)
	}
	if r.Platform != "" {
		platform, err := platforms.Parse(r.Platform)
		if err != nil {
			return nil, userError{fmt.Sprintf("invalid platform %q: %v", r.Platform, err)}
		}
		if platform = platforms.Normalize(platform); platform.OS != "linux" {
			return nil, userError{fmt.Sprintf("images for %s are not built here: only for linux", platforms.Format(platform))}
		}
		p.platform = &platform
	}
	if p.agents, err = newAgents(p.secrets.prefix, r.Keys); err != nil {
		return nil, userError{err.Error()}
	}
	for name, source := range r.Contexts {
		if strings.Contains(source, "://") {
			continue
		}
		if p.folders[name], err = openDir(r.Workspace, source); err != nil {
			delete(p.folders, name)
			return nil, userError{fmt.Sprintf("failed to get build context %s: path %q not found", name, source)}
		}
	}
	if p.context, err = openDir(r.Workspace, r.ContextDir); err != nil {
		return nil, userError{fmt.Sprintf("unable to prepare context: path %q not found", r.ContextDir)}
	}
	p.beside, err = openDir(r.Workspace, filepath.Dir(r.Dockerfile))
	if err == nil {
		p.source, err = p.beside.readFile(filepath.Base(r.Dockerfile))
	}
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, userError{fmt.Sprintf("unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat %s: %v", r.Dockerfile, err)}
	}
	if p.shown, err = p.sent(); err != nil {
		return nil, err
	}
	_, err = p.ignored() // BuildKit would read whatever it is
	return p, err
}

func (s service) solve(ctx context.Context, p *prepared, out io.Writer) (Result, error) {
	if !p.Plain {
		size, err := p.contextSize(ctx)
		if err != nil {
			return Result{}, err
		}
		fmt.Fprint(out, buildlog.Context(size))
	}
	var err error
	if p.file, err = parseDockerfile(p.source, p.Target, p.Args, p.platform); err != nil {
		_, err = fmt.Fprintln(out, err)
		return Result{}, err
	}
	show := newDisplay(p, out)
	found := &findings{resolved: map[string]digest.Digest{}, granted: map[string]bool{}, commands: map[string][]string{}, making: map[string]bool{},
		foreign: map[string]string{}}
	run := func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		res, err := dockerfilefrontend.Build(ctx, &frontend{Client: c, run: p.Images, place: s.place, secrets: p.secrets, observer: show, findings: found})
		if err != nil {
			return nil, err
		}
		return res, hideHistory(res, p.Hide)
	}
	response, err := s.client.Build(ctx, p.options(s.export(p), s.session(p)), "acrux", run, show.start())
	show.wait()
	result := Result{Bases: p.bases(found)}
	result.Layers, result.Cached = found.layers(show.completed)
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	if err != nil {
		result.Refused = imagestore.RefusalIn(found.failure)
		return result, show.failed(err, found, p.secrets)
	}
	built, err := s.result(ctx, p, response)
	if err != nil {
		return Result{}, err
	}
	result.OK, result.ImageID, result.Digest = true, built.ImageID, built.Digest
	return result, show.succeeded(result)
}

// export says where the image goes.
func (s service) export(p *prepared) client.ExportEntry {
	if s.place != nil {
		attrs := map[string]string{"name": p.remoteName}
		if s.place.Exporter() == client.ExporterImage {
			attrs["unpack"] = "true" // the engine runs it next
		}
		return client.ExportEntry{Type: s.place.Exporter(), Attrs: attrs}
	}
	var names []string
	for _, tag := range p.tags {
		names = append(names, p.Images.Name(tag))
	}
	return client.ExportEntry{
		Type:  client.ExporterImage,
		Attrs: map[string]string{"name": strings.Join(names, ","), "oci-mediatypes": "false"},
	}
}

// session is what BuildKit may ask for. A remote one asks no registry.
func (s service) session(p *prepared) []session.Attachable {
	offered := []session.Attachable{secretsprovider.NewSecretProvider(p.secrets), p.agents}
	if s.place == nil {
		offered = append(offered, &logins{login: p.Login})
	}
	return offered
}

// result finds out what was built.
func (s service) result(ctx context.Context, p *prepared, response *client.SolveResponse) (Result, error) {
	if s.place == nil {
		return Result{
			ImageID: response.ExporterResponse["containerimage.config.digest"],
			Digest:  response.ExporterResponse["containerimage.digest"],
		}, nil
	}
	image, err := s.place.Take(ctx, p.remoteName, p.tags)
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	return Result{ImageID: image.Config.String(), Digest: image.Target.Digest.String()}, err
}

// bases lists the images that the registry resolved, by the names in the file.
func (p *prepared) bases(found *findings) []Base {
	var bases []Base
	for _, name := range p.file.bases {
		named, err := imagestore.Parse(name)
		if err != nil {
			continue
		}
		if d, ok := found.resolved[named.String()]; ok {
			bases = append(bases, Base{Reference: name, Digest: d.String()})
		}
	}
	return bases
}

// options puts the request in BuildKit's terms.
func (p *prepared) options(export client.ExportEntry, offered []session.Attachable) client.SolveOpt {
	mounts := map[string]fsutil.FS{"context": p.shown, "dockerfile": p.beside}
	for name, folder := range p.folders {
		mounts[folderPrefix+name] = folder
	}
	return client.SolveOpt{
		Exports:      []client.ExportEntry{export},
		CacheImports: cacheEntries(p.CacheFrom),
		CacheExports: cacheEntries(p.CacheTo),
		LocalMounts:  mounts,
		// What was sent before under the same key is sent again only if its size or time
		// differ. So runs must not share a key, or one could hand its files to another.
		SharedKey:     p.RunID,
		FrontendAttrs: p.attributes(),
		Session:       offered,
	}
}

// folderPrefix sets the folders that a Dockerfile names apart from its own.
const folderPrefix = "folder-"

func cacheEntries(caches []Cache) []client.CacheOptionsEntry {
	var entries []client.CacheOptionsEntry
	for _, cache := range caches {
		entries = append(entries, client.CacheOptionsEntry{Type: cache.Kind, Attrs: cache.Options})
	}
	return entries
}

// attributes are the frontend's options.
func (p *prepared) attributes() map[string]string {
	attrs := map[string]string{
		"filename": filepath.Base(p.Dockerfile),
		"target":   p.Target,
		// Lets the image names of this run be found in the image store.
		"image-resolve-mode": "local",
	}
	if p.platform != nil {
		attrs["platform"] = platforms.Format(*p.platform)
	}
	if p.NoCache {
		attrs["no-cache"] = ""
	}
	for name, source := range p.Contexts {
		if !strings.Contains(source, "://") {
			source = "local:" + folderPrefix + name
		}
		attrs["context:"+name] = source
	}
	if p.ShmSize > 0 {
		attrs["shm-size"] = strconv.FormatInt(p.ShmSize, 10)
	}
	if len(p.Ulimits) > 0 {
		attrs["ulimit"] = strings.Join(p.Ulimits, ",")
	}
	if p.NoNetwork {
		attrs["force-network-mode"] = "none"
	}
	for key, value := range p.Args {
		attrs["build-arg:"+key] = value
	}
	for key, value := range p.Labels {
		attrs["label:"+key] = value
	}
	var hosts []string
	for _, host := range p.AddHosts {
		name, address, _ := strings.Cut(host, ":")
		hosts = append(hosts, name+"="+address)
	}
	if len(hosts) > 0 {
		attrs["add-hosts"] = strings.Join(hosts, ",")
	}
	// After the user's arguments, which must not decide these: what is kept stays within
	// its scope. BuildKit knows the result of a RUN by its line and its files, but not by its
	// proxy or the addresses of its hosts: who names those could plant a layer that others
	// take for theirs. The control group is part of what it is known by, and our executor has
	// groups of its own. A remote BuildKit's executor has not, and shares what it keeps.
	if p.remoteName == "" {
		attrs["cgroup-parent"] = p.CacheScope
	}
	attrs["build-arg:BUILDKIT_CACHE_MOUNT_NS"] = p.CacheScope
	return attrs
}

// Package mirror brings images from elsewhere into registries of the installation.
//
// An import from another registry of the same installation moves no bytes: the
// repository gets links to what is there already, and the import is done when the
// call answers. What must be fetched becomes an operation: a row that clients poll, and a
// job that is taken up again after a crash, blob by blob, since blobs that arrived are kept.
package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/jobs"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/secret"
)

// Request asks for an import, as Resource Manager's importImage has it.
type Request struct {
	Source struct {
		RegistryURI string `json:"registryUri"`
		ResourceID  string `json:"resourceId"`
		SourceImage string `json:"sourceImage"`
		Platform    string `json:"platform"` // of an index only this image; an addition of ours
		Credentials *struct {
			Username string `json:"username"`
			Password string `json:"password"`
		} `json:"credentials"`
	} `json:"source"`
	TargetTags []string `json:"targetTags"`
	Untagged   []string `json:"untaggedTargetRepositories"`
	Mode       string   `json:"mode"` // NoForce, Force
}

// force is the mode in which tags that are there are moved.
const force = "Force"

// Source is where an import comes from: a registry of this installation, or a host.
type Source struct {
	Registry arm.ID // zero if it is a host
	Host     string
	Image    oci.Reference
	Platform string // only the image for it; empty is all
}

// Own reports whether the source is a registry of this installation.
func (s Source) Own() bool { return !s.Registry.IsRoot() }

// Imports serves imports. Its fields are set once; it is safe for concurrent use.
type Imports struct {
	Registries *registry.Registries
	Content    *registry.Content
	Dialer     *egress.Dialer
	Store      Store
	Sealer     *secret.Sealer
	Queue      jobs.Queue
	// Pause is how long an import waits before it tries again what broke; the second time
	// longer. Default a second.
	Pause time.Duration
	// Stall is how long a source may send nothing before the connection counts as broken.
	// Default a minute.
	Stall time.Duration
}

// New returns the service.
func New(registries *registry.Registries, content *registry.Content, dialer *egress.Dialer, store Store, sealer *secret.Sealer, queue jobs.Queue) *Imports {
	return &Imports{Registries: registries, Content: content, Dialer: dialer, Store: store, Sealer: sealer, Queue: queue}
}

func invalid(member, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, "InvalidParameterValue", format, args...).On(member)
}

// Resolve says what the source of a request is. The caller then checks whether it
// may be read.
func (m *Imports) Resolve(ctx context.Context, req Request) (Source, error) {
	image, err := oci.ParseName(req.Source.SourceImage)
	if err != nil {
		return Source{}, invalid("source.sourceImage", "The source image '%s' is not valid: it is repository:tag or repository@digest.", req.Source.SourceImage).Because(err)
	}
	src := Source{Image: image, Platform: req.Source.Platform}
	if _, err := parsePlatform(src.Platform); err != nil {
		return src, err
	}
	if (req.Source.ResourceID == "") == (req.Source.RegistryURI == "") {
		return src, invalid("source", "Exactly one of source.registryUri and source.resourceId is needed.")
	}
	switch {
	case !strings.EqualFold(req.Mode, force) && !strings.EqualFold(req.Mode, "NoForce") && req.Mode != "":
		return src, invalid("mode", "The mode '%s' is neither NoForce nor Force.", req.Mode)
	case req.Source.ResourceID != "" && req.Source.Credentials != nil:
		return src, invalid("source.credentials", "Credentials are for a source that is named by its registryUri; a registry named by its resourceId is read with the rights of the caller.")
	case req.Source.Credentials != nil && req.Source.Credentials.Password == "":
		return src, invalid("source.credentials.password", "The credentials of the source have no password.")
	case req.Source.ResourceID != "":
		return m.byID(ctx, src, req.Source.ResourceID)
	}
	src.Host = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(req.Source.RegistryURI), "https://"), "http://"), "/")
	if req.Source.Credentials != nil {
		return src, nil
	}
	_, ours := m.Registries.NameOf(src.Host)
	reg, err := m.Registries.ByHost(ctx, src.Host)
	switch {
	case errors.Is(err, resource.ErrNotFound) && ours:
		return src, problem.New(problem.NotFound, "RegistryNotFound", "The source registry '%s' does not exist.", src.Host).On("source.registryUri")
	case errors.Is(err, resource.ErrNotFound):
		return src, nil // a host elsewhere; an alias only stands for a registry that is here
	}
	src.Registry = reg.ID
	return src, err
}

func (m *Imports) byID(ctx context.Context, src Source, text string) (Source, error) {
	id, err := arm.ParseID(text)
	if err != nil || id.Kind().Key() != registry.Kind.Key() {
		return src, invalid("source.resourceId", "'%s' is not the resource ID of a registry.", text)
	}
	reg, err := m.Registries.Get(ctx, id)
	src.Registry = reg.ID
	return src, err
}

// target is a tag, or no tag, in a repository of the importing registry.
type target struct {
	Repository string
	Tag        string
}

func targets(req Request, src Source) ([]target, error) {
	var all []target
	names := req.TargetTags
	if len(names)+len(req.Untagged) == 0 {
		names = []string{src.Image.Repository + ":" + src.Image.Tag}
		if src.Image.Tag == "" {
			names, req.Untagged = nil, []string{src.Image.Repository}
		}
	}
	for _, name := range names {
		ref, err := oci.ParseName(name)
		if err != nil || ref.Digest != "" {
			return nil, invalid("targetTags", "The target tag '%s' is not valid: it is repository:tag.", name).Because(err)
		}
		all = append(all, target{Repository: ref.Repository, Tag: ref.Tag})
	}
	for _, name := range req.Untagged {
		if !oci.ValidRepository(name) {
			return nil, invalid("untaggedTargetRepositories", "The target repository '%s' is not valid.", name)
		}
		all = append(all, target{Repository: name})
	}
	return all, nil
}

// Start begins an import whose source the caller may read. It returns the ID of an
// operation, or an empty one if the import is done.
func (m *Imports) Start(ctx context.Context, into arm.ID, src Source, req Request, caller string, now time.Time) (string, error) {
	reg, err := m.Registries.Get(ctx, into)
	if err != nil {
		return "", err
	}
	goals, err := targets(req, src)
	if err != nil {
		return "", err
	}
	o := order{Source: src, Targets: goals, Caller: caller, Force: strings.EqualFold(req.Mode, force)}
	if src.Own() {
		return "", conflict(m.link(ctx, reg.ID, o, now))
	}
	if c := req.Source.Credentials; c != nil {
		o.Username, o.Password = c.Username, c.Password
	}
	if err := m.mayBegin(ctx, reg.ID, o); err != nil {
		return "", conflict(err)
	}
	return m.queue(ctx, reg.ID, o, now)
}

// mayBegin refuses at once what would be refused at the end, as things are now.
func (m *Imports) mayBegin(ctx context.Context, into arm.ID, o order) error {
	for _, goal := range o.Targets {
		to := repositoryOf(into, goal.Repository)
		if err := m.Content.CheckWritable(ctx, to, goal.Tag); err != nil {
			return err
		}
		if goal.Tag == "" || o.Force {
			continue
		}
		if err := m.Content.CheckNew(ctx, to, goal.Tag, ""); err != nil {
			return err
		}
	}
	return nil
}

// conflict makes what a lock says an answer of Resource Manager's.
func conflict(err error) error {
	var p *problem.Error
	if errors.As(err, &p) && p.Kind == problem.NotAllowed {
		return problem.New(problem.Conflict, p.Code, "%s", p.Text()).Because(err)
	}
	return err
}

func repositoryOf(id arm.ID, repository string) registry.Name {
	return registry.Name{Registry: strings.ToLower(id.Name()), Repository: repository}
}

// link imports from a registry of the installation, all or nothing.
func (m *Imports) link(ctx context.Context, into arm.ID, o order, now time.Time) error {
	image, from := o.Source.Image, repositoryOf(o.Source.Registry, o.Source.Image.Repository)
	err := m.Content.Store.InTx(ctx, func(ctx context.Context) error {
		if err := m.mayBegin(ctx, into, o); err != nil {
			return err
		}
		reference, err := m.chooseOwn(ctx, from, o)
		if err != nil {
			return err
		}
		for _, goal := range o.Targets {
			var tags []string
			if goal.Tag != "" {
				tags = []string{goal.Tag}
			}
			if _, err := m.Content.Copy(ctx, from, reference, repositoryOf(into, goal.Repository), tags, o.Caller, now); err != nil {
				return err
			}
		}
		return nil
	})
	if p := incomplete(err, o.Source.Registry.Name(), image.Name()); p != nil {
		return p
	}
	if problem.Is(err, problem.NotFound) {
		return problem.New(problem.NotFound, "ImageNotFound", "The image '%s' was not found in registry '%s'.", image.Name(), o.Source.Registry.Name()).On("source.sourceImage").Because(err)
	}
	return err
}

// incomplete is the problem of an image that names what its registry does not have, or nil.
func incomplete(err error, at, image string) error {
	var missing *registry.MissingError
	if !errors.As(err, &missing) {
		return nil
	}
	return problem.New(problem.NotFound, "ImageIncomplete",
		"The registry '%s' does not have %s, which the image '%s' names.", at, missing.Digest, image).On("source.sourceImage").Because(err)
}

// order is what the job needs to know; sealed with the operation, for it has credentials.
type order struct {
	Source   Source
	Targets  []target
	Username string
	Password string
	Caller   string
	Force    bool
}

func (m *Imports) queue(ctx context.Context, into arm.ID, o order, now time.Time) (string, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	op := Operation{ID: uuid.NewString(), Registry: into, Status: InProgress, Created: now, Updated: now}
	op.Request = m.Sealer.Seal(text, "operation#"+op.ID)
	return op.ID, m.Content.Store.InTx(ctx, func(ctx context.Context) error {
		if err := m.Store.PutOperation(ctx, op); err != nil {
			return err
		}
		return m.Queue.Enqueue(ctx, job, op.ID)
	})
}

func (m *Imports) order(op Operation) (o order, err error) {
	text, err := m.Sealer.Open(op.Request, "operation#"+op.ID)
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(text, &o)
}

package dockerapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/acrux/acrux/internal/arm/problem"
)

// images lists the run's images.
func (h *Handler) images(w http.ResponseWriter, r *http.Request) error {
	wanted, err := readFilters(r, "reference", "dangling")
	if err != nil {
		return err
	}
	all, err := h.engine.Images(r.Context())
	if err != nil {
		return err
	}
	byID, order := map[string]map[string]any{}, []string{}
	for _, image := range all {
		if !matchesReference(wanted["reference"], image.Name) || slices.Contains(wanted["dangling"], "true") {
			continue
		}
		entry := byID[image.ID]
		if entry == nil {
			entry = map[string]any{"Id": image.ID, "ParentId": "", "Created": created(image), "Size": image.Size, "SharedSize": -1, "Containers": -1,
				"RepoTags": []string{}, "RepoDigests": []string{}, "Labels": map[string]string{}}
			byID[image.ID], order = entry, append(order, image.ID)
		}
		digests := append(entry["RepoDigests"].([]string), image.digested()...)
		slices.Sort(digests)
		entry["RepoTags"], entry["RepoDigests"] = append(entry["RepoTags"].([]string), image.Name), slices.Compact(digests)
	}
	list := []map[string]any{}
	for _, id := range order {
		list = append(list, byID[id])
	}
	answer(w, http.StatusOK, list)
	return nil
}

// digested is the image by its digest, as its registry knows it or will. An image without
// a name has none.
func (i Image) digested() []string {
	named, err := reference.ParseNormalizedNamed(i.Name)
	if err != nil || i.Digest == "" {
		return nil
	}
	return []string{reference.FamiliarName(named) + "@" + i.Digest}
}

// names are all those of an image, with tags and with digests.
func (h *Handler) names(ctx context.Context, id string) (tags, digests []string, err error) {
	tags, digests = []string{}, []string{}
	all, err := h.engine.Images(ctx)
	for _, one := range all {
		if one.ID == id && one.Name != "" {
			tags = append(tags, one.Name)
			digests = append(digests, one.digested()...)
		}
	}
	slices.Sort(digests)
	return tags, slices.Compact(digests), err
}

// matchesReference reports whether a name is that of one of the references, a tag left out
// standing for all.
func matchesReference(references []string, name string) bool {
	if len(references) == 0 {
		return true
	}
	return slices.ContainsFunc(references, func(reference string) bool {
		return name == reference || strings.HasPrefix(name, reference+":") && !strings.Contains(name[len(reference)+1:], "/")
	})
}

// configuration is what is read of an image's.
type configuration struct {
	Created      time.Time       `json:"created"`
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	Author       string          `json:"author"`
	Config       json.RawMessage `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

func (i Image) configuration() configuration {
	var c configuration
	_ = json.Unmarshal(i.Config, &c) // it was read as one before
	return c
}

func created(i Image) int64 { return i.configuration().Created.Unix() }

// imageInspect shows all about an image: GET /images/{name}/json.
func (h *Handler) imageInspect(w http.ResponseWriter, r *http.Request) error {
	name, ok := strings.CutSuffix(r.PathValue("name"), "/json")
	if !ok {
		return notOffered(r.Method + " " + r.URL.Path)
	}
	image, err := h.engine.Image(r.Context(), name)
	if err != nil {
		return err
	}
	c := image.configuration()
	tags, digests, err := h.names(r.Context(), image.ID)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{
		"Id": image.ID, "RepoTags": tags, "RepoDigests": digests, "Parent": "", "Comment": "", "Created": moment(c.Created), "Author": c.Author,
		"Config": c.Config, "Architecture": c.Architecture, "Os": c.OS, "Size": image.Size, "GraphDriver": map[string]any{"Name": "overlayfs", "Data": nil},
		"RootFS": map[string]any{"Type": c.RootFS.Type, "Layers": c.RootFS.DiffIDs}, "Metadata": map[string]any{"LastTagTime": moment(time.Time{})},
	})
	return nil
}

// imageAction is POST /images/{name}/tag and …/push.
func (h *Handler) imageAction(w http.ResponseWriter, r *http.Request) error {
	path := r.PathValue("name")
	if name, ok := strings.CutSuffix(path, "/tag"); ok {
		return h.tag(w, r, name)
	}
	if name, ok := strings.CutSuffix(path, "/push"); ok {
		return h.push(w, r, name)
	}
	return notOffered(r.Method + " " + r.URL.Path)
}

func (h *Handler) tag(w http.ResponseWriter, r *http.Request, name string) error {
	to := r.URL.Query().Get("repo")
	if tag := r.URL.Query().Get("tag"); tag != "" {
		to += ":" + tag
	}
	if err := h.engine.Tag(r.Context(), name, to); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (h *Handler) untag(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	image, err := h.engine.Image(r.Context(), name)
	if err != nil {
		return err
	}
	if err := h.engine.Untag(r.Context(), name); err != nil {
		return err
	}
	answer(w, http.StatusOK, []map[string]string{{"Untagged": image.Name}})
	return nil
}

// pull is POST /images/create?fromImage=…
func (h *Handler) pull(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if query.Get("fromSrc") != "" {
		return notOffered("importing an image")
	}
	if err := checkPlatform(r); err != nil {
		return err
	}
	name := query.Get("fromImage")
	switch tag := query.Get("tag"); {
	case name == "":
		return problem.New(problem.Invalid, "NoImage", "the request names no image")
	case strings.Contains(tag, ":"): // a digest
		name += "@" + tag
	case tag != "":
		name += ":" + tag
	}
	login, err := registryAuth(r)
	if err != nil {
		return err
	}
	return stream(w, "status", func(out io.Writer) (bool, error) { return h.engine.Pull(r.Context(), name, login, out) })
}

func (h *Handler) push(w http.ResponseWriter, r *http.Request, name string) error {
	if tag := r.URL.Query().Get("tag"); tag != "" {
		name += ":" + tag
	}
	if _, err := h.engine.Image(r.Context(), name); err != nil {
		return problem.New(problem.NotFound, "NoSuchImage", "An image does not exist locally with the tag: %s", name)
	}
	login, err := registryAuth(r)
	if err != nil {
		return err
	}
	return stream(w, "status", func(out io.Writer) (bool, error) { return h.engine.Push(r.Context(), name, login, out) })
}

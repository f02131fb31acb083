package dockerapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/acrux/acrux/internal/access/secret"
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

// tokenUser is the user name that says that the password is a refresh token.
const tokenUser = "00000000-0000-0000-0000-000000000000"

// registryAuth reads the credential that came with a request, if one did.
func registryAuth(r *http.Request) (*Login, error) {
	header := r.Header.Get("X-Registry-Auth")
	if header == "" {
		return nil, nil
	}
	text, err := base64.URLEncoding.DecodeString(header)
	if err != nil {
		if text, err = base64.RawURLEncoding.DecodeString(header); err != nil {
			return nil, problem.New(problem.Invalid, "BadAuth", "invalid X-Registry-Auth header: %v", err)
		}
	}
	return parseLogin(text)
}

func parseLogin(text []byte) (*Login, error) {
	var auth struct{ Username, Password, Auth, IdentityToken, RegistryToken string }
	if err := json.Unmarshal(text, &auth); err != nil {
		return nil, problem.New(problem.Invalid, "BadAuth", "invalid credential: %v", err)
	}
	switch {
	case auth.RegistryToken != "":
		return nil, notOffered("a registry token")
	case auth.IdentityToken != "":
		return &Login{Username: tokenUser, Password: secret.New(auth.IdentityToken)}, nil
	case auth.Username == "" && auth.Password == "":
		return nil, nil
	}
	return &Login{Username: auth.Username, Password: secret.New(auth.Password)}, nil
}

// auth is docker login.
func (h *Handler) auth(w http.ResponseWriter, r *http.Request) error {
	var raw json.RawMessage
	if err := decode(w, r, &raw); err != nil {
		return err
	}
	var to struct{ ServerAddress string }
	login, err := parseLogin(raw)
	if err == nil {
		err = json.Unmarshal(raw, &to)
	}
	if err != nil {
		return err
	}
	if login == nil {
		return problem.New(problem.Unauthenticated, "NoCredential", "a user name and a password are needed")
	}
	host := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(to.ServerAddress, "https://"), "http://"), "/")
	if host, _, _ = strings.Cut(host, "/"); host == "" {
		host = "docker.io"
	}
	if err := h.engine.Login(r.Context(), host, *login); err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]string{"Status": "Login Succeeded", "IdentityToken": ""})
	return nil
}

// stream answers with what do writes, line by line, each a JSON object with the text under
// a name. If do says that it failed, its last line is the reason.
func stream(w http.ResponseWriter, name string, do func(out io.Writer) (bool, error)) error {
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(http.StatusOK)
	lines := &lineStream{w: w, name: name, keepEnd: name == "stream"}
	ok, err := do(lines)
	switch {
	case err != nil:
		lines.flush()
		lines.failed(err.Error())
	case ok:
		lines.flush()
	default:
		lines.failed(strings.TrimSpace(string(lines.last)))
	}
	return nil
}

// lineStream holds the last line back: it may be the reason of a failure.
type lineStream struct {
	w       io.Writer
	name    string
	keepEnd bool // the line's end is part of the text
	partial []byte
	last    []byte
}

// Write implements io.Writer.
func (l *lineStream) Write(p []byte) (int, error) {
	l.partial = append(l.partial, p...)
	for {
		end := lineEnd(l.partial)
		if end == 0 {
			return len(p), nil
		}
		l.flushLast()
		l.last = append([]byte(nil), l.partial[:end]...)
		l.partial = l.partial[end:]
	}
}

func (l *lineStream) flushLast() {
	if len(l.last) == 0 {
		return
	}
	text := string(l.last)
	if !l.keepEnd {
		text = strings.TrimSuffix(text, "\n")
	}
	l.send(map[string]any{l.name: text})
	l.last = nil
}

func (l *lineStream) flush() {
	l.flushLast()
	l.last, l.partial = l.partial, nil
	l.flushLast()
}

func (l *lineStream) failed(text string) {
	if text == "" {
		text = "the request failed"
	}
	l.send(map[string]any{"errorDetail": map[string]string{"message": text}, "error": text})
}

func (l *lineStream) send(body any) {
	if json.NewEncoder(l.w).Encode(body) != nil {
		return // whoever asked is gone
	}
	if w, ok := l.w.(http.ResponseWriter); ok {
		_ = http.NewResponseController(w).Flush()
	}
}

// aux sends a result among the lines.
func (l *lineStream) aux(body any) { l.send(map[string]any{"aux": body}) }

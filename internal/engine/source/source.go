// Package source fetches build contexts: git repositories, archives behind a URL, and
// artifacts of registries. It dials through the transport it is given and nothing else, so what a
// user's URL may reach is decided there.
//
// Git is the git program: it speaks every dialect of the protocol (smart, static
// files, Azure DevOps), shallow fetches and submodules, which no library does. It
// never sees the network: all its URLs lead to a relay on loopback that lives for
// one fetch, forwards to the real host through the guarded transport and adds the
// credential there. So neither policy nor secret depends on git's behaviour.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Fetcher fetches contexts. Its fields are set before first use; its methods are
// safe for concurrent use.
type Fetcher struct {
	// Transport makes the connections; daemon gives one on the guarded dialer.
	Transport http.RoundTripper
	// Content makes those to other hosts than the request names, to which a repository
	// leads: submodules and redirections. Nil is Transport.
	Content http.RoundTripper
	// MaxBytes bounds what is downloaded and unpacked for one context; 0 is 4 GiB.
	MaxBytes int64
	// Git is the git program; empty is "git" on the PATH.
	Git string
	// Registries is who asks for artifacts; nil is none.
	Registries *registryclient.Client
}

const defaultMaxBytes = 4 << 30

// Request says what to fetch.
type Request struct {
	Context string        // URL, for git with #ref:dir
	Token   secret.String // password for the context's host; may be empty
	Dir     string        // where to put it: an absolute path that does not exist yet
	// Credential is that for a registry, for artifacts; nil and false are nobody's.
	Credential func(host string) (engine.Credential, bool)
}

// Result is a fetched context.
type Result struct {
	Dir    string // Request.Dir, or the folder of it that the context names
	Commit string // head revision; empty if the context is no git repository
	Branch string // checked-out branch, or "HEAD"; empty if the context is no git repository
}

// Fetch fetches a context. An engine.Failure tells the user what is wrong with it;
// any other error means that we could not do our part, or that ctx ended.
func (f *Fetcher) Fetch(ctx context.Context, request Request) (Result, error) {
	switch kind := taskfile.ParseContext(request.Context); kind.Kind {
	case taskfile.ContextGit:
		return f.git(ctx, request)
	case taskfile.ContextArchive:
		return f.archive(ctx, request)
	case taskfile.ContextArtifact:
		return f.artifact(ctx, request)
	}
	return Result{}, engine.Failure("not a URL of a context: " + request.Context)
}

// location is a remote URL, without the credential that was in it.
type location struct {
	url      url.URL // http or https, no user, no fragment
	user     string
	password string
}

// parseLocation separates URL and credential. A user name alone is a token.
func parseLocation(text string, token secret.String) (location, error) {
	if strings.HasPrefix(text, "github.com/") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		scheme, _, _ := strings.Cut(text, ":")
		return location{}, engine.Failure(fmt.Sprintf("contexts over %q are not supported: use https://", scheme))
	}
	var where location
	if u.User != nil {
		where.user = u.User.Username()
		var given bool
		if where.password, given = u.User.Password(); !given {
			where.user, where.password = tokenUser, where.user
		}
	}
	if !token.Empty() {
		where.user, where.password = tokenUser, token.Reveal()
	}
	u.User, u.Fragment = nil, ""
	where.url = *u
	return where, nil
}

// tokenUser is the user name that goes with a token; hosts ignore it.
const tokenUser = "dummy"

// shown is the URL for error texts. A query is not shown: where it signs the URL, it is a
// credential as well.
func (l *location) shown() string {
	visible := l.url
	if visible.RawQuery != "" {
		visible.RawQuery = "<REDACTED>"
	}
	if l.password == "" {
		return visible.String()
	}
	return visible.Scheme + "://<REDACTED>@" + strings.TrimPrefix(visible.String(), visible.Scheme+"://")
}

func (l *location) authorize(header http.Header) {
	if l.password != "" {
		request := http.Request{Header: header}
		request.SetBasicAuth(l.user, l.password)
	}
}

// folder resolves the folder of a context that its fragment names. Symbolic links
// may not lead out.
func folder(dir, name string) (string, error) {
	if name == "" {
		return dir, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(filepath.FromSlash(strings.Trim(name, "/")))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", engine.Failure(fmt.Sprintf("the folder %q does not exist in the context", name))
	case err != nil || !info.IsDir():
		return "", engine.Failure(fmt.Sprintf("%q is not a folder of the context", name))
	}
	return securejoin.SecureJoin(dir, name)
}

func (f *Fetcher) maxBytes() int64 {
	if f.MaxBytes > 0 {
		return f.MaxBytes
	}
	return defaultMaxBytes
}

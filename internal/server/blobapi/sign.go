package blobapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// How long signed URLs may be used.
const (
	readTTL   = 12 * time.Hour // the longest run, and some time after
	uploadTTL = time.Hour
)

// permissions are the letters of a signature that methods need.
var permissions = map[string]string{http.MethodGet: "r", http.MethodHead: "r", http.MethodPut: "w"}

// grant is what a URL is signed for.
type grant struct {
	account, path string
	permission    string // letters
	who           string // the principal that got it, whose right is asked again; or
	run           string // the run it was made for, which must still be executed
	ttl           time.Duration
}

// The parameters that say for whom a URL was signed. Azure has the first one as well, where
// a user's key signs.
const (
	whoParameter = "skoid"
	runParameter = "run"
)

// LogURL returns a signed URL for reading the log of a run, for a principal.
func (s *Server) LogURL(registryID, runID string, who identity.ObjectID, now time.Time) string {
	path := "/" + container + strings.ToLower(registryID) + "/" + strings.ToLower(runID) + ".log"
	return s.url(grant{account: LogAccount, path: path, permission: "r", who: string(who), ttl: readTTL}, now)
}

// UploadURL returns a signed URL for writing an upload, for a principal.
func (s *Server) UploadURL(path string, who identity.ObjectID, now time.Time) string {
	return s.url(grant{account: SourceAccount, path: "/" + path, permission: "cw", who: string(who), ttl: uploadTTL}, now)
}

// SourceURL returns a signed URL for reading an upload while a run is executed.
func (s *Server) SourceURL(path, runKey string, now time.Time) string {
	return s.url(grant{account: SourceAccount, path: "/" + path, permission: "r", run: runKey, ttl: readTTL}, now)
}

func (s *Server) url(g grant, now time.Time) string {
	query := url.Values{"sv": {"2021-12-02"}, "sp": {g.permission}, "sr": {"b"},
		"se": {now.Add(g.ttl).UTC().Format(time.RFC3339)}}
	for name, value := range map[string]string{whoParameter: g.who, runParameter: g.run} {
		if value != "" {
			query.Set(name, value)
		}
	}
	query.Set("sig", s.sign(g.account, g.path, query))
	u := url.URL{Scheme: "https", Host: g.account + ".blob." + s.Domain, Path: g.path, RawQuery: query.Encode()}
	return u.String()
}

func (s *Server) sign(account, path string, q url.Values) string {
	mac := hmac.New(sha256.New, s.Key)
	fmt.Fprintf(mac, "%q", []string{account, path, q.Get("sp"), q.Get("se"), q.Get(whoParameter), q.Get(runParameter)})
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// verified reports whether the query of a request signs it, and still does.
func (s *Server) verified(account string, r *http.Request) bool {
	query := r.URL.Query()
	expiry, err := time.Parse(time.RFC3339, query.Get("se"))
	return err == nil && time.Now().Before(expiry) && hmac.Equal([]byte(s.sign(account, r.URL.Path, query)), []byte(query.Get("sig")))
}

// What takes the right to have a URL, and to use it.
const (
	actionLog    = "Microsoft.ContainerRegistry/registries/runs/listLogSasUrl/action"
	actionUpload = "Microsoft.ContainerRegistry/registries/listBuildSourceUploadUrl/action"
)

// mayRead asks again whether who got the URL of a log may have it.
func (s *Server) mayRead(r *http.Request, run arm.ID) error {
	return s.may(r.Context(), identity.ObjectID(r.URL.Query().Get(whoParameter)), actionLog, run)
}

// mayWrite asks again whether who got the URL of an upload may have it.
func (s *Server) mayWrite(r *http.Request, path string) error {
	name, ok := upload.Registry(path)
	if !ok {
		return errNoBlob
	}
	reg, err := s.Registries.ByName(r.Context(), name)
	if errors.Is(err, resource.ErrNotFound) {
		return errSignature
	}
	if err != nil {
		return err
	}
	return s.may(r.Context(), identity.ObjectID(r.URL.Query().Get(whoParameter)), actionUpload, reg.ID)
}

// may is one answer for a right that is gone and a signature that never was.
func (s *Server) may(ctx context.Context, who identity.ObjectID, action string, scope arm.ID) error {
	d, err := s.Checker.Check(ctx, who, action, scope)
	if err == nil && !d.Allowed {
		return errSignature
	}
	return err
}

package blobapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// urlTTL is how long a signed URL may be used: the longest run, and some time after.
const urlTTL = 12 * time.Hour

// permissions are the letters of a signature that methods need.
var permissions = map[string]string{http.MethodGet: "r", http.MethodHead: "r", http.MethodPut: "w"}

// LogURL returns a signed URL for reading the log of a run.
func (s *Server) LogURL(registryID, runID string, now time.Time) string {
	path := "/" + container + strings.ToLower(registryID) + "/" + strings.ToLower(runID) + ".log"
	return s.url(LogAccount, path, "r", now)
}

// UploadURL returns a signed URL for writing an upload.
func (s *Server) UploadURL(path string, now time.Time) string {
	return s.url(SourceAccount, "/"+path, "rcw", now)
}

// SourceURL returns a signed URL for reading an upload.
func (s *Server) SourceURL(path string, now time.Time) string {
	return s.url(SourceAccount, "/"+path, "r", now)
}

func (s *Server) url(account, path, permission string, now time.Time) string {
	query := url.Values{"sv": {"2021-12-02"}, "sp": {permission}, "sr": {"b"}, "se": {now.Add(urlTTL).UTC().Format(time.RFC3339)}}
	query.Set("sig", s.sign(account, path, query))
	u := url.URL{Scheme: "https", Host: account + ".blob." + s.Domain, Path: path, RawQuery: query.Encode()}
	return u.String()
}

func (s *Server) sign(account, path string, q url.Values) string {
	mac := hmac.New(sha256.New, s.Key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s", account, path, q.Get("sp"), q.Get("se"))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// verified reports whether the query of a request signs it, and still does.
func (s *Server) verified(account string, r *http.Request) bool {
	query := r.URL.Query()
	expiry, err := time.Parse(time.RFC3339, query.Get("se"))
	return err == nil && time.Now().Before(expiry) && hmac.Equal([]byte(s.sign(account, r.URL.Path, query)), []byte(query.Get("sig")))
}

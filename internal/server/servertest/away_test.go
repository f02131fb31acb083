package servertest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

func digestOf(text string) string { return digest.FromString(text).String() }

// door is a request that needs the database, and what its host answers without one.
type door struct {
	servertest.Request
	status int    // with one
	code   string // without
}

// needy are doors of all hosts, for those who read and those who write.
func needy(w *servertest.World) map[string]door {
	as := func(method, address, host, code string, status int, body string) door {
		return door{servertest.Request{Method: method, URL: address, Body: body, Header: map[string]string{
			"Authorization": "Bearer " + w.TokenFor(w.Admin, host), "Content-Type": "application/json"}}, status, code}
	}
	form := func(address, code string, status int, v url.Values) door {
		return door{servertest.Request{Method: http.MethodPost, URL: address, Body: v.Encode(),
			Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, status, code}
	}
	host := "https://" + w.LoginServer("myregistry")
	version := "?api-version=" + servertest.Version
	group, id := w.URL("management")+w.Group.String()+version, w.URL("management")+w.Registry.String()
	upload := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/listBuildSourceUploadUrl", "").At("uploadUrl").(string)
	basic := func(method, path string, status int, body string) door {
		d := as(method, host+path, "management", "UNAVAILABLE", status, body)
		d.Header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(string(w.Admin.ClientID)+":"+w.Admin.Secret))
		return d
	}
	access := basic(http.MethodGet, "/oauth2/token?scope=registry:catalog:*", 200, "")
	bearer := basic(http.MethodGet, "/v2/_catalog", 200, "")
	bearer.Header["Authorization"] = "Bearer " + w.Do(access.Request).At("access_token").(string)
	return map[string]door{
		"a group":           as(http.MethodGet, group, "management", "ServiceUnavailable", 200, ""),
		"writing a group":   as(http.MethodPut, group, "management", "ServiceUnavailable", 200, `{"location":"eastus"}`),
		"runs":              as(http.MethodGet, id+"/runs"+version, "management", "ServiceUnavailable", 200, ""),
		"a new run":         as(http.MethodPost, id+"/scheduleRun"+version, "management", "ServiceUnavailable", 200, `{"type":"EncodedTaskRunRequest","encodedTaskContent":"c3RlcHM6IFtdCg=="}`),
		"the directory":     as(http.MethodGet, w.URL("graph")+"/v1.0/servicePrincipals", "graph", "ServiceUnavailable", 200, ""),
		"an application":    as(http.MethodPost, w.URL("graph")+"/v1.0/applications", "graph", "ServiceUnavailable", 201, `{"displayName":"an application"}`),
		"a catalogue":       basic(http.MethodGet, "/v2/_catalog", 200, ""),
		"with a token":      bearer,
		"a token":           access,
		"tags":              basic(http.MethodGet, "/v2/hello/tags/list", 200, ""),
		"a blob":            basic(http.MethodGet, "/v2/hello/blobs/"+digestOf("layer"), 200, ""),
		"a small push":      basic(http.MethodPost, "/v2/hello/blobs/uploads/?digest="+digestOf("more"), 201, "more"),
		"metadata":          basic(http.MethodGet, "/acr/v1/_catalog", 200, ""),
		"an exchange":       form(host+"/oauth2/exchange", "UNAVAILABLE", 200, url.Values{"grant_type": {"access_token"}, "service": {w.LoginServer("myregistry")}, "access_token": {w.Token(w.Admin)}}),
		"signing in":        form(w.URL("login")+"/adfs/oauth2/token", "temporarily_unavailable", 200, url.Values{"grant_type": {"client_credentials"}, "client_id": {string(w.Admin.ClientID)}, "client_secret": {w.Admin.Secret}, "scope": {"x/.default"}}),
		"a device's code":   form(w.URL("login")+"/adfs/oauth2/devicecode", "temporarily_unavailable", 200, url.Values{"client_id": {cli}, "scope": {"x/.default"}}),
		"the device's page": form(w.URL("login")+"/device", "Try again in a few seconds", 404, url.Values{"code": {"ABCDEFGHI"}}),
		"source code":       {servertest.Request{Method: http.MethodPut, URL: upload, Body: "x", Header: map[string]string{"x-ms-blob-type": "BlockBlob"}}, 201, "ServerBusy"},
	}
}

// A database that is away is no fault of who asks, and no fault for ever: each host says so
// in its own words, and when clients may try again, but not why.
func TestDatabaseAway(t *testing.T) {
	sqlstoretest.Needed(t)
	proxy := sqlstoretest.Through(t)
	w := servertest.NewOn(t, proxy.URL)
	all := needy(w)
	layer := all["a small push"]
	layer.URL, layer.Body = strings.Replace(layer.URL, digestOf("more"), digestOf("layer"), 1), "layer"
	if a := w.Do(layer.Request); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for range 2 {
		proxy.Go()
		for name, d := range all {
			a := w.Do(d.Request)
			inside := strings.Contains(a.Body, "127.0.0.1") || strings.Contains(strings.ToLower(a.Body), "postgres")
			if a.Status != 503 || !strings.Contains(a.Body, d.code) || inside {
				t.Errorf("%s without a database: %d %s", name, a.Status, a.Body)
			}
			if again := a.Header.Get("Retry-After"); (again == "") != (d.code == "temporarily_unavailable") {
				t.Errorf("%s may be tried again after %q", name, again)
			}
		}
		proxy.Work()
		for name, d := range all {
			if a := w.Do(d.Request); a.Status != d.status {
				t.Errorf("%s with the database back: %d %s", name, a.Status, a.Body)
			}
		}
	}
}

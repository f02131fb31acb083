package registryapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// inForm fails the test unless a refusal has the form that OCI prescribes.
func inForm(t *testing.T, what string, a servertest.Answer) {
	t.Helper()
	first := firstError(a)
	code, _ := first["code"].(string)
	message, _ := first["message"].(string)
	if a.Status < 400 || a.Status >= 500 || code == "" || code != strings.ToUpper(code) || message == "" || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		t.Errorf("%.120s: %d %s %.300s", what, a.Status, a.Header.Get("Content-Type"), a.Body)
	}
}

// names that name no repository, as they stand in a path.
var badNames = []string{
	"..", "../..", "a/../b", "./a", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%2f..%2fb", "a%2f%2e%2e%2fb", "%252e%252e", "a//b", "a%2f%2fb", "%2fa", "a%2f", "a%5cb", "..%5c..%5cb",
	"A", "Hello", "hello%2fWorld", "-a", "a-", ".a", "a.", "a..b", "a___b", "_a", "a%20b", "a%00b", "a%0d%0ab", "a%0a", "a:b", "a@b", "a,b", "a%3fb", "a%23b", "a*b", "~a", "%7e",
	"%d0%b0lpine", "alpin%d0%b5", "%ef%bd%81lpine", "alpine%e2%80%8b", "alpine%cc%81", "%c0%ae%c0%ae", "%ff%fe", "h%c3%a9llo", strings.Repeat("a", 300), strings.Repeat("a/", 200) + "a", strings.Repeat("%2e%2e%2f", 100) + "a",
}

// Names that are none are refused wherever they stand, in the form of the
// specification, and nothing comes to be under them.
func TestBadNames(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	for _, name := range badNames {
		for _, route := range []struct{ method, path, body string }{
			{"GET", "/v2/NAME/tags/list", ""}, {"GET", "/v2/NAME/manifests/v1", ""}, {"PUT", "/v2/NAME/manifests/v1", simple("layer")}, {"DELETE", "/v2/NAME/manifests/v1", ""},
			{"GET", "/v2/NAME/blobs/" + digestOf("layer"), ""}, {"POST", "/v2/NAME/blobs/uploads/", ""}, {"POST", "/v2/NAME/blobs/uploads/?digest=" + digestOf("x"), "x"}, {"PATCH", "/v2/NAME/blobs/uploads/x", ""},
			{"GET", "/v2/NAME/referrers/" + digestOf("x"), ""}, {"GET", "/acr/v1/NAME/_tags", ""}, {"GET", "/acr/v1/NAME/_tags/v1", ""}, {"GET", "/acr/v1/NAME/_manifests/" + digestOf("x"), ""},
			{"GET", "/acr/v1/NAME", ""}, {"PATCH", "/acr/v1/NAME", `{"writeEnabled":false}`}, {"DELETE", "/acr/v1/NAME", ""},
		} {
			path := strings.Replace(route.path, "NAME", name, 1)
			inForm(t, route.method+" "+path, r.send(route.method, path, route.body, "Content-Type", imageType))
			if a := w.Do(servertest.Request{Method: route.method, URL: "https://" + r.host + path, Body: route.body}); a.Status < 400 || a.Status >= 500 {
				t.Errorf("%s %s without a token: %d %s", route.method, path, a.Status, a.Body)
			}
		}
		text, err := url.PathUnescape(name)
		must(t, err)
		a := r.send("POST", "/v2/good/blobs/uploads/?mount="+digestOf("x")+"&from="+url.QueryEscape(text), "")
		want(t, a, 202, "")
	}
	a := r.send("GET", "/v2/_catalog", "")
	equal(t, a.Body, `{"repositories":[]}`)
}

// A name whose slashes are escaped is the same name: the Go SDK writes it so.
func TestEscapedNames(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.image(t, "team/hello", "v1", "layer")
	for _, path := range []string{"/v2/team%2Fhello/manifests/v1", "/acr/v1/team%2fhello/_tags/v1", "/v2/%74eam/hello/tags/list", "/acr/v1/team%2Fhello"} {
		want(t, r.send("GET", path, ""), 200, "")
	}
	narrow, _ := r.send("GET", "/oauth2/token?scope=repository:team:pull", "").At("token").(string)
	want(t, r.send("GET", "/v2/team%2Fhello/manifests/v1", "", "Authorization", "Bearer "+narrow), 401, "UNAUTHORIZED")
}

// References, digests, upload IDs and pages that are none.
func TestBadReferences(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	manifest := r.image(t, "hello", "v1", "layer")
	for _, reference := range []string{"..", "%2e%2e", "-v", ".v", "v%20", "v%00", "v1%0a", "%d0%b01", "v:1", "sha256:abc", "sha256:" + strings.Repeat("0", 63), "sha256:" + strings.Repeat("A", 64), "md5:" + strings.Repeat("0", 32),
		"sha256:" + strings.Repeat("..%2f", 12), strings.Repeat("v", 129), strings.Repeat("v", 300), "v1%3fx", "*", "@" + digestOf(manifest)} {
		inForm(t, reference, r.send("GET", "/v2/hello/manifests/"+reference, ""))
		inForm(t, reference, r.send("PUT", "/v2/hello/manifests/"+reference, manifest, "Content-Type", imageType))
		inForm(t, reference, r.send("DELETE", "/v2/hello/manifests/"+reference, ""))
		inForm(t, reference, r.send("GET", "/acr/v1/hello/_tags/"+reference, ""))
		inForm(t, reference, r.send("PATCH", "/acr/v1/hello/_tags/"+reference, `{"writeEnabled":false}`))
		for _, path := range []string{"/v2/hello/blobs/", "/v2/hello/referrers/", "/acr/v1/hello/_manifests/", "/v2/hello/blobs/uploads/", "/acr/v1/hello/_tags?digest="} {
			inForm(t, path+reference, r.send("GET", path+reference, ""))
		}
	}
	equal(t, r.send("GET", "/v2/hello/tags/list", "").Body, `{"name":"hello","tags":["v1"]}`)
	for _, list := range []string{"/v2/_catalog", "/acr/v1/_catalog", "/v2/hello/tags/list", "/acr/v1/hello/_tags", "/acr/v1/hello/_manifests"} {
		for _, n := range []string{"-1", "9223372036854775808", "-9223372036854775809", "1.5", "1e3", "x", "%00", "0x10", "%d9%a1"} {
			a := r.send("GET", list+"?n="+n, "")
			want(t, a, 400, "PAGINATION_NUMBER_INVALID")
			inForm(t, list+n, a)
		}
		for _, n := range []string{"0", "1", "10000", "9223372036854775807", ""} {
			a := r.send("GET", list+"?n="+n, "")
			want(t, a, 200, "")
			if n == "0" == strings.Contains(a.Body, "hello\"]") && strings.Contains(list, "catalog") {
				t.Errorf("%s?n=%s: %s", list, n, a.Body)
			}
		}
		for _, last := range []string{"..", "%00", "%ff", strings.Repeat("z", 5000), "'%20OR%201=1--"} {
			want(t, r.send("GET", list+"?n=5&last="+last, ""), 200, "")
		}
	}
	for _, path := range []string{"//v2/", "/v2//", "/V2/", "/v2/hello", "/v2/hello/", "/v1/x", "/acr/v2/hello", "/acr", "/", "/oauth2", "/oauth2/token/", "//oauth2/token", "/.git/config", "/v2/hello/manifests/", "/v2/hello/tags", "/acr/v1/"} {
		want(t, r.send("GET", path, ""), 404, "NOT_FOUND")
	}
}

package door_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Requests that are larger than they may be are refused, soon, and by their name.
func TestLargeRequests(t *testing.T) {
	w := shared(t)
	reg := w.registry(group1, first)
	arm := bearer(w.admin.armToken(t))
	who := basic(refresher, w.admin.refresh(t, first))
	management := func(method, path, body string, head ...string) ask {
		return ask{method, w.Published.URL("management") + versioned(path),
			append([]string{"Authorization", arm, "Content-Type", "application/json"}, head...), body}
	}
	registry := func(method, path, body string) ask {
		return ask{method, w.at(first, path), []string{"Authorization", who, "Content-Type", manifestType}, body}
	}
	form := func(target, body string) ask {
		return ask{"POST", target, []string{"Content-Type", "application/x-www-form-urlencoded"}, body}
	}
	directory := func(body string) ask {
		return ask{"POST", w.Published.URL("graph") + "/v1.0/applications",
			[]string{"Authorization", bearer(w.admin.graphToken(t)), "Content-Type", "application/json"}, body}
	}
	long := strings.Repeat("x", 5<<20)
	deep := strings.Repeat(`{"properties":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	var wide strings.Builder
	wide.WriteString(`{"tags":{"k":"v"`)
	for i := range 50_000 {
		fmt.Fprintf(&wide, `,"k%d":"v"`, i)
	}
	wide.WriteString("}}")
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("X-%d", i), strings.Repeat("y", 100))
	}
	content := refusal{400, "InvalidRequestContent", ""}
	var tags []string
	for i := range 40 {
		tags = append(tags, fmt.Sprintf("tag=t%d", i))
	}
	layers := strings.Replace(manifest("x"), `"layers":[]`,
		`"layers":[`+strings.TrimSuffix(strings.Repeat(`{"mediaType":"x","digest":"`+digestOf("x")+`","size":1},`,
			20_000), ",")+`]`, 1)
	for name, request := range map[string]ask{
		"management":                management("PATCH", reg, `{"tags":{"a":"`+strings.Repeat("x", 200)+`"}}`),
		"registry":                  registry("PUT", "/v2/app/manifests/large", manifest("app")),
		"a header of ten kilobytes": management("GET", reg, "", "X", strings.Repeat("x", 10<<10)),
		"a name in the directory":   directory(`{"displayName":"` + strings.Repeat("x", 200) + `"}`),
		"some tags": registry("PUT",
			"/v2/app/manifests/"+digestOf(manifest("app"))+"?"+strings.Join(tags[:20], "&"), manifest("app")),
	} {
		t.Run("control: "+name, func(t *testing.T) { w.do(t, request).ok(t) })
	}
	for _, test := range []struct {
		name string
		ask  ask
		want refusal
	}{
		{"five megabytes at management", management("PATCH", reg, `{"tags":{"a":"`+long+`"}}`),
			refusal{413, "RequestContentTooLarge", ""}},
		{"depth at management", management("PATCH", reg, deep), content},
		{"depth in lists", management("PATCH", reg, strings.Repeat("[", 1_000_000)), content},
		{"members at management", management("PATCH", reg, wide.String()), refusal{400, "", ""}},
		{"a number of a megabyte", management("PATCH", reg,
			`{"properties":{"x":`+strings.Repeat("9", 1<<20)+`}}`), refusal{400, "", ""}},
		{"a tag of 1000 letters", management("PATCH", reg, `{"tags":{"a":"`+strings.Repeat("x", 1000)+`"}}`),
			refusal{400, "", ""}},
		{"a header of a megabyte", management("GET", reg, "", "X", strings.Repeat("x", 1<<20)), refusal{431, "", ""}},
		{"a thousand headers", management("GET", reg, "", many...), refusal{431, "", ""}},
		{"a path of a megabyte", management("GET", "/"+strings.Repeat("x", 1<<20), ""), refusal{431, "", ""}},
		{"a token of a megabyte", ask{"GET", w.Published.URL("management") + "/subscriptions",
			[]string{"Authorization", bearer(strings.Repeat("x", 1<<20))}, ""}, refusal{431, "", ""}},
		{"the directory", directory(`{"displayName":"` + long + `"}`), refusal{413, "Request_EntityTooLarge", ""}},
		{"a name in the directory", directory(`{"displayName":"` + strings.Repeat("x", 1000) + `"}`),
			refusal{400, "Request_BadRequest", "displayName"}},
		{"depth in the directory", directory(strings.Repeat("[", 100_000)), refusal{400, "Request_BadRequest", ""}},
		{"a form at the login host", form(w.tokenURL(), "grant_type=client_credentials&client_secret="+long),
			refusal{400, "invalid_request", "64 KiB"}},
		{"many fields at the login host", form(w.tokenURL(), strings.Repeat("a=b&", 100_000)),
			refusal{400, "invalid_request", "64 KiB"}},
		{"a form for an access token", form(w.at(first, "/oauth2/token"), "refresh_token="+long),
			refusal{400, "INVALID_REQUEST", "not a form"}},
		{"a form for a refresh token", form(w.at(first, "/oauth2/exchange"), "access_token="+long),
			refusal{400, "INVALID_REQUEST", "not a form"}},
		{"a manifest", registry("PUT", "/v2/app/manifests/large", `{"x":"`+long+`"}`),
			refusal{413, "SIZE_INVALID", ""}},
		{"depth in a manifest", registry("PUT", "/v2/app/manifests/large", deep), refusal{400, "MANIFEST_INVALID", ""}},
		{"layers of a manifest that are not there", registry("PUT", "/v2/app/manifests/large", layers),
			refusal{400, "MANIFEST_BLOB_UNKNOWN", ""}},
		{"tags of a manifest", registry("PUT",
			"/v2/app/manifests/"+digestOf(manifest("app"))+"?"+strings.Join(tags, "&"), manifest("app")),
			refusal{400, "TAG_INVALID", "at most 32 tags"}},
		{"attributes", registry("PATCH", "/acr/v1/app", `{"x":"`+long+`"}`), refusal{413, "SIZE_INVALID", ""}},
		{"a name of a repository", registry("GET", "/v2/"+strings.Repeat("a", 5000)+"/manifests/1", ""),
			refusal{400, "NAME_INVALID", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			a := w.do(t, test.ask)
			if a.request = test.ask.method + " " + test.name; test.want.code == "" {
				test.want.code = a.code()
			}
			a.refused(t, test.want)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// Chunks go where the upload ends, or nowhere.
func TestWrongRanges(t *testing.T) {
	w := shared(t)
	who := basic(refresher, w.admin.refresh(t, first))
	begin := func(t *testing.T) string {
		t.Helper()
		return w.v2(t, first, who, "POST", "/v2/app/blobs/uploads/", "").ok(t).header.Get("Location")
	}
	chunk := func(t *testing.T, method, location, span, body string) answer {
		t.Helper()
		head := []string{"Authorization", who, "Content-Type", "application/octet-stream"}
		if span != "" {
			head = append(head, "Content-Range", span)
		}
		return w.do(t, ask{method, w.at(first, location), head, body})
	}
	t.Run("control", func(t *testing.T) {
		location := begin(t)
		chunk(t, "PATCH", location, "0-2", "abc").ok(t)
		chunk(t, "PATCH", location, "3-5", "def").ok(t)
		chunk(t, "PUT", location+"?digest="+url.QueryEscape(digestOf("abcdef")), "", "").ok(t)
	})
	wrong := refusal{416, "RANGE_INVALID", ""}
	for name, span := range map[string]string{"a gap": "4-6", "an overlap": "2-4", "again": "0-2",
		"backwards": "5-3", "negative": "-3-5", "shorter than said": "3-100", "longer than said": "3-3",
		"huge": "3-9223372036854775807", "more than huge": "99999999999999999999-99999999999999999999",
		"words": "bytes", "no end": "3-", "several": "3-5,6-8"} {
		t.Run(name, func(t *testing.T) {
			location := begin(t)
			chunk(t, "PATCH", location, "0-2", "abc").ok(t)
			chunk(t, "PATCH", location, span, "def").refused(t, wrong)
			chunk(t, "PUT", location+"?digest="+url.QueryEscape(digestOf("abcdef")), span, "def").refused(t, wrong)
			// What was refused has changed nothing.
			chunk(t, "PUT", location+"?digest="+url.QueryEscape(digestOf("abcdef")), "3-5", "def").ok(t)
		})
	}
	started := begin(t)
	another := strings.Replace(started, "/app/", "/hidden/", 1)
	for _, test := range []struct {
		name, method, location, body string
		want                         refusal
	}{
		{"another digest", "PUT", begin(t) + "?digest=" + url.QueryEscape(digestOf("other")), "abc",
			refusal{400, "DIGEST_INVALID", "did not match"}},
		{"no digest", "PUT", begin(t), "abc", refusal{400, "DIGEST_INVALID", ""}},
		{"a digest that is none", "PUT", begin(t) + "?digest=sha256:..%2f..%2fetc", "abc",
			refusal{400, "DIGEST_INVALID", ""}},
		{"a digest of another kind", "PUT", begin(t) + "?digest=md5:d41d8cd98f00b204e9800998ecf8427e", "",
			refusal{400, "DIGEST_INVALID", ""}},
		{"an upload of another repository", "PATCH", another, "abc", refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"the status of one of another repository", "GET", another, "", refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"ending one of another repository", "PUT", another + "?digest=" + digestOf(""), "",
			refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"canceling one of another repository", "DELETE", another, "", refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"an upload that is none", "PATCH", "/v2/app/blobs/uploads/..%2f..%2fx", "abc", refusal{404, "NOT_FOUND", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			chunk(t, test.method, test.location, "", test.body).refused(t, test.want)
		})
	}
	t.Run("control: the upload is still there", func(t *testing.T) { chunk(t, "GET", started, "", "").ok(t) })
}

package door_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
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
		return ask{method, w.Published.URL("management") + versioned(path), append([]string{"Authorization", arm, "Content-Type", "application/json"}, head...), body}
	}
	registry := func(method, path, body string) ask {
		return ask{method, w.at(first, path), []string{"Authorization", who, "Content-Type", manifestType}, body}
	}
	form := func(target, body string) ask {
		return ask{"POST", target, []string{"Content-Type", "application/x-www-form-urlencoded"}, body}
	}
	directory := func(body string) ask {
		return ask{"POST", w.Published.URL("graph") + "/v1.0/applications", []string{"Authorization", bearer(w.admin.graphToken(t)), "Content-Type", "application/json"}, body}
	}
	long := strings.Repeat("x", 5<<20)
	deep := strings.Repeat(`{"properties":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	var wide strings.Builder
	wide.WriteString(`{"tags":{"k":"v"`)
	for i := range 200_000 {
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
	layers := strings.Replace(manifest("x"), `"layers":[]`, `"layers":[`+strings.TrimSuffix(strings.Repeat(`{"mediaType":"x","digest":"`+digestOf("x")+`","size":1},`, 20_000), ",")+`]`, 1)
	for name, request := range map[string]ask{
		"management":                management("PATCH", reg, `{"tags":{"a":"`+strings.Repeat("x", 200)+`"}}`),
		"registry":                  registry("PUT", "/v2/app/manifests/large", manifest("app")),
		"a header of ten kilobytes": management("GET", reg, "", "X", strings.Repeat("x", 10<<10)),
		"a name in the directory":   directory(`{"displayName":"` + strings.Repeat("x", 200) + `"}`),
		"some tags":                 registry("PUT", "/v2/app/manifests/"+digestOf(manifest("app"))+"?"+strings.Join(tags[:20], "&"), manifest("app")),
	} {
		t.Run("control: "+name, func(t *testing.T) { w.do(t, request).ok(t) })
	}
	for _, test := range []struct {
		name string
		ask  ask
		want refusal
	}{
		{"five megabytes at management", management("PATCH", reg, `{"tags":{"a":"`+long+`"}}`), refusal{413, "RequestContentTooLarge", ""}},
		{"depth at management", management("PATCH", reg, deep), content},
		{"depth in lists", management("PATCH", reg, strings.Repeat("[", 1_000_000)), content},
		{"members at management", management("PATCH", reg, wide.String()), refusal{400, "", ""}},
		{"a number of a megabyte", management("PATCH", reg, `{"properties":{"x":`+strings.Repeat("9", 1<<20)+`}}`), refusal{400, "", ""}},
		{"a tag of 1000 letters", management("PATCH", reg, `{"tags":{"a":"`+strings.Repeat("x", 1000)+`"}}`), refusal{400, "", ""}},
		{"a header of a megabyte", management("GET", reg, "", "X", strings.Repeat("x", 1<<20)), refusal{431, "", ""}},
		{"a thousand headers", management("GET", reg, "", many...), refusal{431, "", ""}},
		{"a path of a megabyte", management("GET", "/"+strings.Repeat("x", 1<<20), ""), refusal{431, "", ""}},
		{"a token of a megabyte", ask{"GET", w.Published.URL("management") + "/subscriptions", []string{"Authorization", bearer(strings.Repeat("x", 1<<20))}, ""}, refusal{431, "", ""}},
		{"the directory", directory(`{"displayName":"` + long + `"}`), refusal{413, "Request_EntityTooLarge", ""}},
		{"a name in the directory", directory(`{"displayName":"` + strings.Repeat("x", 1000) + `"}`), refusal{400, "Request_BadRequest", "displayName"}},
		{"depth in the directory", directory(strings.Repeat("[", 100_000)), refusal{400, "Request_BadRequest", ""}},
		{"a form at the login host", form(w.tokenURL(), "grant_type=client_credentials&client_secret="+long), refusal{400, "invalid_request", "64 KiB"}},
		{"many fields at the login host", form(w.tokenURL(), strings.Repeat("a=b&", 100_000)), refusal{400, "invalid_request", "64 KiB"}},
		{"a form for an access token", form(w.at(first, "/oauth2/token"), "refresh_token="+long), refusal{400, "INVALID_REQUEST", "not a form"}},
		{"a form for a refresh token", form(w.at(first, "/oauth2/exchange"), "access_token="+long), refusal{400, "INVALID_REQUEST", "not a form"}},
		{"a manifest", registry("PUT", "/v2/app/manifests/large", `{"x":"`+long+`"}`), refusal{413, "SIZE_INVALID", ""}},
		{"depth in a manifest", registry("PUT", "/v2/app/manifests/large", deep), refusal{400, "MANIFEST_INVALID", ""}},
		{"layers of a manifest that are not there", registry("PUT", "/v2/app/manifests/large", layers), refusal{400, "MANIFEST_BLOB_UNKNOWN", ""}},
		{"tags of a manifest", registry("PUT", "/v2/app/manifests/"+digestOf(manifest("app"))+"?"+strings.Join(tags, "&"), manifest("app")), refusal{400, "TAG_INVALID", "at most 32 tags"}},
		{"attributes", registry("PATCH", "/acr/v1/app", `{"x":"`+long+`"}`), refusal{413, "SIZE_INVALID", ""}},
		{"a name of a repository", registry("GET", "/v2/"+strings.Repeat("a", 5000)+"/manifests/1", ""), refusal{400, "NAME_INVALID", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			a := w.do(t, test.ask)
			if a.request = test.ask.method + " " + test.name; test.want.code == "" {
				test.want.code = a.code()
			}
			a.refused(t, test.want)
			if took := time.Since(began); took > 20*time.Second {
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
	for name, span := range map[string]string{"a gap": "4-6", "an overlap": "2-4", "again": "0-2", "backwards": "5-3", "negative": "-3-5", "shorter than said": "3-100", "longer than said": "3-3",
		"huge": "3-9223372036854775807", "more than huge": "99999999999999999999-99999999999999999999", "words": "bytes", "no end": "3-", "several": "3-5,6-8"} {
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
		{"another digest", "PUT", begin(t) + "?digest=" + url.QueryEscape(digestOf("other")), "abc", refusal{400, "DIGEST_INVALID", "did not match"}},
		{"no digest", "PUT", begin(t), "abc", refusal{400, "DIGEST_INVALID", ""}},
		{"a digest that is none", "PUT", begin(t) + "?digest=sha256:..%2f..%2fetc", "abc", refusal{400, "DIGEST_INVALID", ""}},
		{"a digest of another kind", "PUT", begin(t) + "?digest=md5:d41d8cd98f00b204e9800998ecf8427e", "", refusal{400, "DIGEST_INVALID", ""}},
		{"an upload of another repository", "PATCH", another, "abc", refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"the status of one of another repository", "GET", another, "", refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"ending one of another repository", "PUT", another + "?digest=" + digestOf(""), "", refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"canceling one of another repository", "DELETE", another, "", refusal{404, "BLOB_UPLOAD_UNKNOWN", ""}},
		{"an upload that is none", "PATCH", "/v2/app/blobs/uploads/..%2f..%2fx", "abc", refusal{404, "NOT_FOUND", ""}},
	} {
		t.Run(test.name, func(t *testing.T) { chunk(t, test.method, test.location, "", test.body).refused(t, test.want) })
	}
	t.Run("control: the upload is still there", func(t *testing.T) { chunk(t, "GET", started, "", "").ok(t) })
}

// packed is an archive of entries, whatever they claim.
func packed(t *testing.T, write func(w *tar.Writer)) []byte {
	t.Helper()
	var text bytes.Buffer
	zipped := gzip.NewWriter(&text)
	write(tar.NewWriter(zipped))
	must(t, zipped.Close())
	return text.Bytes()
}

// entry writes one entry, with content if there is any.
func entry(t *testing.T, header tar.Header, content string) func(w *tar.Writer) {
	return func(w *tar.Writer) {
		must(t, w.WriteHeader(&header))
		_, _ = w.Write([]byte(content)) // of links there is none
		_ = w.Flush()                   // what claims more than it has cannot be flushed
	}
}

// sparse is an archive with a file that has a byte at its end and nothing before (PAX
// format 0.1 of GNU tar). The writer makes none, so a file becomes the header.
func sparse(t *testing.T, name string, size int64) []byte {
	t.Helper()
	var records strings.Builder
	for _, record := range []string{"GNU.sparse.size=" + fmt.Sprint(size), "GNU.sparse.numblocks=1", "GNU.sparse.map=" + fmt.Sprint(size-1) + ",1", "GNU.sparse.name=" + name} {
		n := len(record) + 4 // a blank, a line break, and the two digits of the length
		fmt.Fprintf(&records, "%d %s\n", n, record)
	}
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	entry(t, tar.Header{Name: "header", Mode: 0o644, Size: int64(records.Len()), Format: tar.FormatUSTAR}, records.String())(w)
	entry(t, tar.Header{Name: name, Mode: 0o644, Size: 1, Format: tar.FormatUSTAR}, "x")(w)
	must(t, w.Close())
	block := text.Bytes()[:512]
	block[156] = 'x'
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return gzipped(t, text.Bytes())
}

// Source code that unpacks to more than it may, or elsewhere, is a run that fails.
func TestArchives(t *testing.T) {
	w := shared(t)
	reg := w.registry(group1, first)
	build := func(t *testing.T, content []byte) string {
		t.Helper()
		a := w.arm(t, w.admin, "POST", reg+"/listBuildSourceUploadUrl", "").ok(t)
		w.do(t, ask{"PUT", a.text("uploadUrl"), []string{"x-ms-blob-type", "BlockBlob"}, string(content)}).ok(t)
		return w.build(t, a.text("relativePath"))
	}
	t.Run("control", func(t *testing.T) {
		if text := build(t, archive(t)); !strings.HasPrefix(text, "Succeeded") {
			t.Errorf("got %s", text)
		}
	})
	const tooLarge, outside = "larger than this server allows", "outside of itself"
	for _, test := range []struct {
		name    string
		content []byte
		words   string
	}{
		{"a file of eight exabytes", packed(t, entry(t, tar.Header{Name: "Dockerfile", Mode: 0o644, Size: 1<<63 - 1, Format: tar.FormatGNU}, "x")), tooLarge},
		{"a file of five gigabytes", packed(t, entry(t, tar.Header{Name: "Dockerfile", Mode: 0o644, Size: 5 << 30}, "x")), tooLarge},
		{"a sparse file of a terabyte", sparse(t, "Dockerfile", 1<<40), tooLarge},
		{"a name that goes up", packed(t, entry(t, tar.Header{Name: "../../../../tmp/acrux-pwned", Mode: 0o644, Size: 1}, "x")), outside},
		{"a name from the root", packed(t, entry(t, tar.Header{Name: "/tmp/acrux-pwned", Mode: 0o644, Size: 1}, "x")), outside},
		{"a link out, and through it", packed(t, func(w *tar.Writer) {
			entry(t, tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, "")(w)
			entry(t, tar.Header{Name: "out/acrux-pwned", Mode: 0o644, Size: 1}, "x")(w)
		}), "cannot be unpacked"},
		{"a hard link to a file of the machine", packed(t, entry(t, tar.Header{Name: "Dockerfile", Typeflag: tar.TypeLink, Linkname: "../../../../etc/passwd"}, "")), "cannot be unpacked"},
		{"half a stream", archive(t)[:60], "the archive"},
		{"a stream in a stream", gzipped(t, archive(t)), "Dockerfile"},
		{"no archive", []byte(strings.Repeat("no archive ", 1000)), "Dockerfile"},
		{"nothing", nil, "Dockerfile"},
		{"a zip", []byte("PK\x03\x04" + strings.Repeat("\x00", 2000)), "Dockerfile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			failed(t, build(t, test.content), test.words)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return text.Bytes()
}

// Task files that say much with little are runs that fail.
func TestLargeTaskFiles(t *testing.T) {
	w := shared(t)
	run := func(t *testing.T, file string) string {
		t.Helper()
		state, log := w.finished(t, first, w.schedule(t, w.admin, first, file).text("properties", "runId"))
		return state.text("properties", "status") + " " + log
	}
	t.Run("control: a task file without steps that fail", func(t *testing.T) {
		if text := run(t, "version: v1.1.0\nsteps:\n- push: []\n"); !strings.Contains(text, "Run ID") {
			t.Errorf("got %s", text)
		}
	})
	var laughs strings.Builder
	laughs.WriteString("version: v1.1.0\nx0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10), ", "))
	}
	laughs.WriteString("steps:\n- cmd: *x11\n")
	for _, test := range []struct{ name, file, words string }{
		{"steps", "version: v1.1.0\nsteps:\n" + strings.Repeat("- cmd: a\n", 6000), "at most 5000 are possible"},
		{"a billion laughs", laughs.String(), ""},
		{"depth", "version: v1.1.0\nsteps: " + strings.Repeat("[", 50_000), ""},
		{"depth in a template", "version: v1.1.0\nsteps:\n- cmd: '" + strings.Repeat("{{if true}}", 20_000) + "'\n", ""},
		{"a template without an end", `version: v1.1.0` + "\nsteps:\n- cmd: '{{range $i := until 1000000000}}xxxxxxxxxxxx{{end}}'\n", ""},
		{"a template that calls itself", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}` + "\nversion: v1.1.0\nsteps: []\n", ""},
		{"a template that repeats", "version: v1.1.0\nsteps:\n- cmd: '{{repeat 2000000000 \"x\"}}'\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			failed(t, run(t, test.file), test.words)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

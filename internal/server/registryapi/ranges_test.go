package registryapi_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/blob/blobtest"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/blobstore"
)

// part is one of an answer in several.
type part struct{ Range, Body string }

// partsOf reads an answer of several parts as clients do.
func partsOf(t *testing.T, a servertest.Answer, body string) (all []part) {
	t.Helper()
	form, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || a.Status != 206 || form != "multipart/byteranges" || a.Header.Get("Content-Range") != "" {
		t.Fatalf("%v %d %v", err, a.Status, a.Header)
	}
	equal(t, a.Header.Get("Content-Length"), strconv.Itoa(len(body)))
	r := multipart.NewReader(strings.NewReader(body), params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return all
		}
		must(t, err)
		equal(t, p.Header.Get("Content-Type"), "application/octet-stream")
		text, err := io.ReadAll(p)
		must(t, err)
		all = append(all, part{p.Header.Get("Content-Range"), string(text)})
	}
}

// raw gets a path with a range and returns the body as it is.
func (r registry) raw(t *testing.T, path, ranges string) (servertest.Answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.host+path, nil)
	must(t, err)
	req.SetBasicAuth(string(r.person.ClientID), r.person.Secret)
	req.Header.Set("Range", ranges)
	res, err := r.Client.Do(req)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return servertest.Answer{Status: res.StatusCode, Header: res.Header}, string(body)
}

// Several ranges come in the order they are asked for, each as it is asked for: podman takes
// the first part for what it asked for first.
func TestSeveralRanges(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.blob(t, "hello", "0123456789\n")
	path := "/v2/hello/blobs/" + digestOf("0123456789\n")
	a, b, c := part{"bytes 0-1/11", "01"}, part{"bytes 3-4/11", "34"}, part{"bytes 8-10/11", "89\n"}
	for header, want := range map[string][]part{
		"bytes=0-1,3-4":       {a, b},
		"bytes=3-4,0-1":       {b, a},
		"bytes=0-1, 3-4 ,,8-": {a, b, c},
		"bytes=-3,0-1":        {c, a},
		"bytes=0-1,20-29,3-4": {a, b},
		"bytes=0-1,5-4,3-4":   {a, b},
		"bytes=0-1,8-99":      {a, c},
		"bytes=0-1,1-2":       {a, {"bytes 1-2/11", "12"}}, // overlap, and are not more than there is
		"bytes=0-1,2-2":       {a, {"bytes 2-2/11", "2"}},  // adjacent: not put together
		"bytes=0-1,-0,3-4":    {a, b},
		"bytes=3-4,0-1,":      {b, a},
	} {
		answer, body := r.raw(t, path, header)
		equal(t, partsOf(t, answer, body), want)
	}
}

// Of an object store each range is asked for by itself.
func TestSeveralRangesFromS3(t *testing.T) {
	server := blobtest.StartS3(t)
	store, err := blobstore.OpenS3(t.Context(), server.Bucket(t), server.Getenv)
	must(t, err)
	w := servertest.New(t)
	w.Content.Blobs = store
	r := of(w, "myregistry", w.Admin)
	content := strings.Repeat("0123456789", 10_000)
	r.blob(t, "hello", content)
	path := "/v2/hello/blobs/" + digestOf(content)
	a, body := r.raw(t, path, "bytes=99998-,3-4,20-20019,-1,100000-")
	equal(t, partsOf(t, a, body), []part{{"bytes 99998-99999/100000", "89"}, {"bytes 3-4/100000", "34"},
		{"bytes 20-20019/100000", content[20:20020]}, {"bytes 99999-99999/100000", "9"}})
	for info := range store.List(t.Context()) {
		must(t, store.Delete(t.Context(), info.Key))
	}
	if a, body := r.raw(t, path, "bytes=0-0,2-2"); a.Status != 500 || strings.Contains(body, "byteranges") {
		t.Errorf("without the object: %d %v %s", a.Status, a.Header, body)
	}
}

// What is not worth parts, or cannot be.
func TestSeveralRangesAsOne(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.blob(t, "hello", "0123456789")
	path, etag := "/v2/hello/blobs/"+digestOf("0123456789"), `"`+digestOf("0123456789")+`"`
	many := "bytes=" + strings.Repeat("99-,", 1024) + "0-0"
	for _, test := range []struct {
		header, condition string
		status            int
		body, head        string
	}{
		{"bytes=20-29,3-4", "", 206, "34", "bytes 3-4/10"},
		{"bytes=20-29,30-", "", 416, "", "bytes */10"},
		{"bytes=-0,10-", "", 416, "", "bytes */10"},
		{"bytes=0-5,3-9", "", 200, "0123456789", ""}, // more than there is
		{"bytes=0-9,0-9", "", 200, "0123456789", ""},
		{"bytes=0-1,x", "", 200, "0123456789", ""},
		{"bytes=0-1,-", "", 200, "0123456789", ""},
		{"bytes=0-1 2-3", "", 200, "0123456789", ""},
		{many, "", 200, "0123456789", ""},
		{"bytes=3-4", etag, 206, "34", "bytes 3-4/10"},
		{"bytes=3-4", `"another"`, 200, "0123456789", ""},
		{"bytes=3-4", "W/" + etag, 200, "0123456789", ""}, // is not about bytes
		{"bytes=0-1,3-4", "Wed, 02 Dec 2026 09:00:00 GMT", 200, "0123456789", ""},
	} {
		a := r.send("GET", path, "", "Range", test.header, "If-Range", test.condition)
		if a.Status != test.status || a.Header.Get("Content-Range") != test.head || test.status < 300 && a.Body != test.body {
			t.Errorf("%.40q %q: %d %q %q", test.header, test.condition, a.Status, a.Header.Get("Content-Range"), a.Body)
		}
		if test.status == 416 && a.Header.Get("Cache-Control") != "" {
			t.Errorf("%.40q: the refusal may be kept: %v", test.header, a.Header)
		}
	}
	a := r.send("HEAD", path, "", "Range", "bytes=0-1,3-4")
	if a.Status != 200 || a.Header.Get("Content-Length") != "10" || a.Header.Get("Content-Range") != "" {
		t.Errorf("HEAD: %d %v", a.Status, a.Header)
	}
}

// As many ranges as podman asks for at once, of a blob that goes out by sendfile: what moves
// is little more than they are.
func TestManyRanges(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	content := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	r.blob(t, "hello", string(content))
	path := "/v2/hello/blobs/" + digestOf(string(content))
	for _, test := range []struct{ ranges, size int }{{1024, 4 << 10}, {32, 100 << 10}, {2, 3 << 20}} {
		var asked []string
		var want bytes.Buffer
		for i := range test.ranges {
			from := i * (len(content) / test.ranges)
			asked = append(asked, fmt.Sprintf("%d-%d", from, from+test.size-1))
			want.Write(content[from : from+test.size])
		}
		a, body := r.raw(t, path, "bytes="+strings.Join(asked, ","))
		var have strings.Builder
		for _, p := range partsOf(t, a, body) {
			have.WriteString(p.Body)
		}
		if have.String() != want.String() {
			t.Errorf("%d ranges of %d bytes: %d bytes came, or others", test.ranges, test.size, have.Len())
		}
		if len(body)*10 > want.Len()*11 {
			t.Errorf("%d ranges of %d bytes: %d bytes moved", test.ranges, test.size, len(body))
		}
	}
}

// Who has the content is told so, of manifests and blobs, and where blobs are at a store.
func TestIfNoneMatch(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	d := digestOf(r.image(t, "hello", "v1", "layer"))
	w.Content.Blobs = presigner{w.Content.Blobs}
	for _, redirect := range []bool{false, true} {
		w.Content.Redirect = redirect
		for path, d := range map[string]string{
			"/v2/hello/manifests/v1": d, "/v2/hello/manifests/" + d: d,
			"/v2/hello/blobs/" + digestOf("layer"): digestOf("layer"),
		} {
			tag, other := `"`+d+`"`, `"`+digestOf("other")+`"`
			for header, matches := range map[string]bool{
				tag: true, "W/" + tag: true, "*": true, " * ": true, other + ", " + tag: true, other + ",W/" + tag: true,
				`"a,b" , ` + tag: true, d: true, other + "," + d: true, `"` + d: true,
				other: false, `"*"`: false, "": false, ",": false, `"x` + d + `"`: false, "W/": false, `W/"W/` + d + `"`: false,
			} {
				for _, method := range []string{"GET", "HEAD"} {
					a := r.send(method, path, "", "If-None-Match", header, "Range", "bytes=0-0")
					if (a.Status == 304) != matches || !matches && a.Status >= 400 {
						t.Errorf("%s %s %s: %d %s", method, path, header, a.Status, a.Body)
					}
					if matches && (a.Body != "" || a.Header.Get("ETag") != tag || a.Header.Get("Location") != "") {
						t.Errorf("%s %s %s: %v %s", method, path, header, a.Header, a.Body)
					}
				}
			}
		}
	}
	nobody := of(w, "myregistry", w.Person("nobody", "", w.Group))
	want(t, nobody.send("GET", "/v2/hello/manifests/v1", "", "If-None-Match", "*"), 403, "DENIED")
	want(t, r.send("GET", "/v2/hello/manifests/v2", "", "If-None-Match", "*"), 404, "MANIFEST_UNKNOWN")
}

// Several ranges come from here, where clients are sent to the store otherwise: it may not
// know them.
func TestSeveralRangesOfRedirected(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.blob(t, "hello", "layer")
	w.Content.Blobs, w.Content.Redirect = presigner{w.Content.Blobs}, true
	path := "/v2/hello/blobs/" + digestOf("layer")
	a, body := r.raw(t, path, "bytes=0-0,2-2")
	equal(t, partsOf(t, a, body), []part{{"bytes 0-0/5", "l"}, {"bytes 2-2/5", "y"}})
	want(t, r.send("GET", path, "", "Range", "bytes=0-0,9-"), 206, "")
	want(t, r.send("GET", path, "", "Range", "bytes=0-0"), 307, "")
}

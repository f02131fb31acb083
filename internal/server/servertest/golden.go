package servertest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// Golden compares text with testdata/name, or writes it there with -update.
func Golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("%s (-want +got); -update writes it anew\n%s", file, diff)
	}
}

// Transcript records requests and answers, with what differs each time replaced:
// GUIDs are numbered in the order in which they appear.
type Transcript struct {
	text  strings.Builder
	guids map[string]string
	port  string
}

// NewTranscript is an empty transcript of a world.
func (w *World) NewTranscript() *Transcript {
	_, port, _ := strings.Cut(w.Suffix, ":")
	return &Transcript{port: port, guids: map[string]string{Tenant: "TENANT", Subscription: "SUBSCRIPTION", string(w.Admin.ObjectID): "ADMIN"}}
}

// Add records a request and its answer, with those headers of it that are named.
func (tr *Transcript) Add(title, request string, a Answer, headers ...string) {
	fmt.Fprintf(&tr.text, "## %s\n%s\n%d\n", title, tr.scrub(request), a.Status)
	for _, name := range headers {
		if value := a.Header.Get(name); value != "" {
			fmt.Fprintf(&tr.text, "%s: %s\n", name, tr.scrub(value))
		}
	}
	body := []byte(a.Body)
	var pretty bytes.Buffer
	if json.Indent(&pretty, body, "", "  ") == nil {
		body = pretty.Bytes()
	}
	fmt.Fprintf(&tr.text, "%s\n\n", tr.scrub(string(body)))
}

var (
	guid  = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	after = regexp.MustCompile(`after=\d+`)
	stamp = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{7})?Z?`)
	etag  = regexp.MustCompile(`"[0-9a-f]{24}"`)
	runID = regexp.MustCompile(`\b[cdy][a-z]1\b`)
	sig   = regexp.MustCompile(`(se|sig)=[^&"\\]+`)
	jwt   = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)
	hint  = regexp.MustCompile(`"hint": "[\w-]{3}"`)
	unix  = regexp.MustCompile(`"(expires_on|not_before)": \d+`)
	codes = regexp.MustCompile(`"device_code": "[\w-]{43}"`)
	typed = regexp.MustCompile(`\b[B-Z]{4}-[B-Z]{4}\b`)
	info  = regexp.MustCompile(`\beyJ1aWQi[\w-]+`)
	fresh = regexp.MustCompile(`acrux_rt_[\w-]{43}`)
	thumb = regexp.MustCompile(`"[0-9A-F]{40}"`)
	word  = regexp.MustCompile(`acrux_[\w-]{43}`)
)

// known GUIDs are those of roles: they are the same everywhere.
var known = regexp.MustCompile(`roleDefinitions/[0-9a-f-]{36}`)

func (tr *Transcript) scrub(text string) string {
	text = strings.ReplaceAll(text, ":"+tr.port, ":PORT")
	for _, role := range known.FindAllString(text, -1) {
		id := role[len("roleDefinitions/"):]
		tr.guids[id] = id
	}
	text = guid.ReplaceAllStringFunc(text, func(id string) string {
		if _, ok := tr.guids[id]; !ok {
			tr.guids[id] = fmt.Sprintf("GUID-%d", len(tr.guids))
		}
		return tr.guids[id]
	})
	text = stamp.ReplaceAllString(text, "TIME")
	text = after.ReplaceAllString(text, "after=TIME")
	text = runID.ReplaceAllString(text, "RUN1")
	text = sig.ReplaceAllString(text, "$1=SIGNED")
	text = hint.ReplaceAllString(text, `"hint": "HINT"`)
	text = thumb.ReplaceAllString(text, `"THUMBPRINT"`)
	text = unix.ReplaceAllString(text, `"$1": TIME`)
	text = codes.ReplaceAllString(text, `"device_code": "DEVICE"`)
	text = typed.ReplaceAllString(text, "CODE")
	text = info.ReplaceAllString(text, "CLIENTINFO")
	text = fresh.ReplaceAllString(text, "REFRESH")
	text = jwt.ReplaceAllString(text, "JWT")
	text = word.ReplaceAllString(text, "PASSWORD")
	return etag.ReplaceAllString(text, "ETAG")
}

// String is the transcript so far.
func (tr *Transcript) String() string { return tr.text.String() }

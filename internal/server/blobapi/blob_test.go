package blobapi_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/runlog"
)

// started is a world with a run that is under way, and the URL of its log.
func started(t *testing.T) (w *servertest.World, l *lease.Lease, link string) {
	t.Helper()
	w = servertest.New(t)
	id := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", `{"type":"EncodedTaskRunRequest","encodedTaskContent":"c3RlcHM6IFtdCg=="}`).At("id").(string)
	a := w.ARMOK(w.Admin, http.MethodPost, id+"/listLogSasUrl", "")
	if len(a.JSON()) != 1 {
		t.Errorf("more than the link is told: %s", a.Body)
	}
	l, err := w.Runs.Acquire(t.Context(), lease.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return w, l, a.At("logLink").(string)
}

func read(w *servertest.World, method, link string, header ...string) servertest.Answer {
	head := map[string]string{"x-ms-version": "2018-11-09"}
	for i := 0; i+1 < len(header); i += 2 {
		head[header[i]] = header[i+1]
	}
	return w.Do(servertest.Request{Method: method, URL: link, Header: head})
}

// The stock CLI's way of reading a log, az-wire 11.
func TestLogRead(t *testing.T) {
	w, l, link := started(t)
	if host, rest, ok := strings.Cut(strings.TrimPrefix(link, "https://"), "/"); !ok || !strings.Contains(host, ".blob."+servertest.Domain) || !strings.HasPrefix(rest, "logs/") || !strings.Contains(rest, "?s") {
		t.Errorf("the link is %s", link)
	}
	head := func(size int, complete string) {
		t.Helper()
		a := read(w, http.MethodHead, link)
		if a.Status != 200 || a.Header.Get("Content-Length") != strconv.Itoa(size) || a.Header.Get("x-ms-meta-Complete") != complete || a.Header.Get("x-ms-blob-type") != "AppendBlob" ||
			a.Header.Get("x-ms-version") != "2018-11-09" || !strings.HasPrefix(a.Header.Get("ETag"), `"`) {
			t.Errorf("HEAD: %d %v", a.Status, a.Header)
		}
		if _, err := http.ParseTime(a.Header.Get("Last-Modified")); err != nil {
			t.Error(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	head(0, "")
	const text = "line one\r\nline two\r\n"
	must(w.Runs.AppendLog(t.Context(), l.Key, 0, []byte(text)))
	head(len(text), "")
	for _, test := range []struct {
		header, span string
		status       int
		body, told   string
	}{
		{"Range", "", 200, text, ""},
		{"x-ms-range", "bytes=0-4095", 206, text, "bytes 0-19/20"},
		{"x-ms-range", "bytes=10-13", 206, "line", "bytes 10-13/20"},
		{"Range", "bytes=10-", 206, "line two\r\n", "bytes 10-19/20"},
		{"x-ms-range", "bytes=20-4095", 416, "", "bytes */20"},
		{"x-ms-range", "bytes=5-3", 416, "", "bytes */20"},
		{"x-ms-range", "bytes=-5", 416, "", "bytes */20"},
		{"x-ms-range", "rubbish", 416, "", "bytes */20"},
	} {
		a := read(w, http.MethodGet, link, test.header, test.span)
		if a.Status != test.status || a.Header.Get("Content-Range") != test.told || test.status < 300 && a.Body != strings.TrimSpace(test.body) {
			t.Errorf("%q: %d %s %q", test.span, a.Status, a.Header.Get("Content-Range"), a.Body)
		}
		if test.status == 416 && (a.Header.Get("x-ms-error-code") != "InvalidRange" || !strings.Contains(a.Body, "<Code>InvalidRange</Code>")) {
			t.Errorf("%q: %v %s", test.span, a.Header, a.Body)
		}
	}
	must(w.Runs.Complete(t.Context(), l.Key, lease.Result{Status: lease.Failed, Message: "no"}))
	head(len(text), "failed")
}

// The word that ends a log says how the run ended; a lost agent's last words come
// before it.
func TestVerdicts(t *testing.T) {
	for status, word := range map[lease.Status]string{lease.Succeeded: "successful", lease.Failed: "failed", lease.Canceled: "canceled", lease.Timeout: "timedout", lease.Error: "internalerror"} {
		w, l, link := started(t)
		if err := w.Runs.Complete(t.Context(), l.Key, lease.Result{Status: status}); err != nil {
			t.Fatal(err)
		}
		if got := read(w, http.MethodHead, link).Header.Get("x-ms-meta-Complete"); got != word {
			t.Errorf("%s: the word is %q", status, got)
		}
	}
	w, _, link := started(t)
	if err := w.Runs.EndLost(t.Context(), "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	if a := read(w, http.MethodGet, link); a.Header.Get("x-ms-meta-Complete") != "internalerror" || !strings.Contains(a.Body, "the agent 'test' stopped") {
		t.Errorf("%v %s", a.Header, a.Body)
	}
}

// A URL opens what it was signed for, as long as it was signed for.
func TestSignatures(t *testing.T) {
	w, _, link := started(t)
	id, err := arm.ParseID(w.Registry.String())
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(link, "?")
	old := w.LogURL(id.String(), "ca1", w.Admin.ObjectID, time.Now().Add(-24*time.Hour))
	for _, test := range []struct {
		name, link string
		status     int
		code       string
	}{
		{"no signature", path + "?sv=1", 403, "AuthenticationFailed"},
		{"another run", strings.Replace(link, ".log", "0.log", 1), 403, "AuthenticationFailed"},
		{"another account", strings.Replace(link, "acrlogs.", "other.", 1), 403, "AuthenticationFailed"},
		{"a later end", path + "?" + strings.Replace(query, "se=2", "se=3", 1), 403, "AuthenticationFailed"},
		{"more permission", path + "?" + strings.Replace(query, "sp=r", "sp=rw", 1), 403, "AuthenticationFailed"},
		{"somebody else's", path + "?" + strings.Replace(query, "skoid=", "skoid=1", 1), 403, "AuthenticationFailed"},
		{"nobody's", path + "?" + strings.Replace(query, "skoid=", "x=", 1), 403, "AuthenticationFailed"},
		{"no end", path + "?" + strings.Replace(query, "se=", "sx=", 1), 403, "AuthenticationFailed"},
		{"expired", old, 403, "AuthenticationFailed"},
		{"a run that never was", w.LogURL(id.String(), "zz9", w.Admin.ObjectID, time.Now()), 404, "BlobNotFound"},
		{"a registry that never was", w.LogURL(id.String()+"x", "zz9", w.Admin.ObjectID, time.Now()), 404, "BlobNotFound"},
		{"no registry at all", w.LogURL("", "zz9", w.Admin.ObjectID, time.Now()), 404, "BlobNotFound"},
	} {
		a := read(w, http.MethodGet, test.link)
		if a.Status != test.status || a.Header.Get("x-ms-error-code") != test.code || !strings.HasPrefix(a.Body, "<?xml") || !strings.Contains(a.Body, "<Error><Code>"+test.code+"</Code><Message>") {
			t.Errorf("%s: %d %v %s", test.name, a.Status, a.Header, a.Body)
		}
		if a := read(w, http.MethodHead, test.link); a.Status != test.status || a.Body != "" {
			t.Errorf("HEAD, %s: %d", test.name, a.Status)
		}
	}
	if a := read(w, http.MethodDelete, link); a.Status != 405 {
		t.Errorf("DELETE: %d", a.Status)
	}
}

// A registry that is made where another one was shows nothing of the old one's logs.
func TestLogsOfAnotherRegistry(t *testing.T) {
	w, l, _ := started(t)
	if err := w.Runs.AppendLog(t.Context(), l.Key, 0, []byte("old\r\n")); err != nil {
		t.Fatal(err)
	}
	w.ARMOK(w.Admin, http.MethodDelete, w.Registry.String(), "")
	if err := w.Runs.AppendLog(t.Context(), l.Key, 5, []byte("late\r\n")); err == nil {
		t.Error("the agent still writes to a run that is gone")
	}
	w.Group = arm.GroupID(servertest.Subscription, "Elsewhere")
	id := w.NewRegistry("MyRegistry")
	// The run has the ID of the old one, if the two letters happen to be the same; the
	// key of its log differs in any case.
	if size, _, err := w.Logs.Size(runlog.Key{Registry: id.String(), RunID: strings.TrimPrefix(l.Run[strings.LastIndex(l.Run, "/"):], "/")}); err != nil || size != 0 {
		t.Errorf("the new registry has %d bytes of the old one's log, %v", size, err)
	}
}

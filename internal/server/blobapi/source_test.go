package blobapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// target asks where to upload.
func target(w *servertest.World) (link, path string) {
	a := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/listBuildSourceUploadUrl", "")
	return a.At("uploadUrl").(string), a.At("relativePath").(string)
}

func put(w *servertest.World, link, body string) servertest.Answer {
	return w.Do(servertest.Request{Method: http.MethodPut, URL: link, Body: body, Header: map[string]string{"x-ms-blob-type": "BlockBlob", "x-ms-version": "2018-11-09"}})
}

// scheduled queues a run of an upload, and leases it.
func scheduled(t *testing.T, w *servertest.World, path string) *lease.Lease {
	t.Helper()
	w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun",
		`{"type":"FileTaskRunRequest","taskFilePath":"acb.yaml","sourceLocation":"`+path+`"}`)
	l, err := w.Runs.Acquire(t.Context(), lease.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A URL writes an upload and reads nothing, for an hour, while who got it may have it, and
// until a run takes what was written.
func TestUploadURL(t *testing.T) {
	w := servertest.New(t)
	person := w.Person("builder", "", arm.ID{})
	assignment, err := w.Assign(t.Context(), person.ObjectID, "Contributor", w.Registry)
	if err != nil {
		t.Fatal(err)
	}
	a := w.ARMOK(person, http.MethodPost, w.Registry.String()+"/listBuildSourceUploadUrl", "")
	link, path := a.At("uploadUrl").(string), a.At("relativePath").(string)
	u, err := url.Parse(link)
	if err != nil || u.Query().Get("sp") != "cw" {
		t.Errorf("%s: %v", link, err)
	}
	if end, err := time.Parse(time.RFC3339, u.Query().Get("se")); err != nil || time.Until(end) > time.Hour {
		t.Errorf("it counts until %v, %v", end, err)
	}
	if a := put(w, link, "mine"); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if a := read(w, method, link); a.Status != 403 {
			t.Errorf("%s: %d %s", method, a.Status, a.Body)
		}
	}
	l := scheduled(t, w, path)
	list := `<BlockList><Latest>YQ==</Latest></BlockList>`
	for operation, body := range map[string]string{"": "another", "&comp=block&blockid=YQ%3D%3D": "another",
		"&comp=blocklist": list} {
		if a := put(w, link+operation, body); a.Status != 409 {
			t.Errorf("%q after a run took it: %d %s", operation, a.Status, a.Body)
		}
	}
	if a := read(w, http.MethodGet, l.Job.Step.Context); a.Body != "mine" {
		t.Errorf("the run reads %q", a.Body)
	}
	if err := w.Runs.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}); err != nil {
		t.Fatal(err)
	}
	if a := read(w, http.MethodGet, l.Job.Step.Context); a.Status != 403 {
		t.Errorf("after the run its source is read: %d", a.Status)
	}
	logs := w.ARMOK(person, http.MethodPost, l.Run+"/listLogSasUrl", "").At("logLink").(string)
	second := w.ARMOK(person, http.MethodPost, w.Registry.String()+"/listBuildSourceUploadUrl",
		"").At("uploadUrl").(string)
	if err := w.Checker.Store.DeleteAssignment(t.Context(), w.Registry, assignment); err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"", "&comp=block&blockid=YQ%3D%3D"} {
		if a := put(w, second+operation, "x"); a.Status != 403 {
			t.Errorf("%q after the role was removed: %d %s", operation, a.Status, a.Body)
		}
	}
	if a := read(w, http.MethodGet, logs); a.Status != 403 {
		t.Errorf("a log after the role was removed: %d %s", a.Status, a.Body)
	}
}

// A task takes its source as a run does.
func TestUploadOfTask(t *testing.T) {
	w := servertest.New(t)
	link, path := target(w)
	body := func(context string) string {
		return `{"location":"eastus","properties":{"platform":{"os":"linux"},"step":{"type":"FileTask","taskFilePath":"acb.yaml","contextPath":"` + context + `"}}}`
	}
	write := func(context string) servertest.Answer {
		return w.ARM(w.Admin, http.MethodPut, w.Registry.Child("tasks", "mytask").String(), body(context))
	}
	if a := write(path); a.Status != 404 {
		t.Errorf("before it was uploaded: %d %s", a.Status, a.Body)
	}
	if a := put(w, link, "mine"); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := write(strings.Replace(path, "/myregistry/", "/otherregistry/", 1)); a.Status != 404 {
		t.Errorf("another registry's: %d %s", a.Status, a.Body)
	}
	for range 2 {
		if a := write(path); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if a := put(w, link, "another"); a.Status != 409 {
		t.Errorf("after a task took it: %d %s", a.Status, a.Body)
	}
}

// Source code is uploaded, named in a request, and read by the agent alone.
func TestUpload(t *testing.T) {
	w := servertest.New(t)
	link, path := target(w)
	if a := put(w, link, "archive"); a.Status != 201 || a.Header.Get("ETag") == "" || a.Header.Get("x-ms-request-server-encrypted") != "true" {
		t.Errorf("PUT: %d %v", a.Status, a.Header)
	}
	l := scheduled(t, w, path)
	if a := read(w, http.MethodGet, l.Job.Step.Context); a.Status != 200 || string(a.Body) != "archive" {
		t.Errorf("the agent reads %d %q", a.Status, a.Body)
	}
	// What may write may not be read with, and the other way round.
	if a := put(w, l.Job.Step.Context, "changed"); a.Status != 403 {
		t.Errorf("writing with the agent's URL: %d", a.Status)
	}
}

// Large uploads come in blocks.
func TestUploadInBlocks(t *testing.T) {
	w := servertest.New(t)
	link, path := target(w)
	for id, text := range map[string]string{"YQ%3D%3D": "one ", "Yg%3D%3D": "two"} {
		if a := put(w, link+"&comp=block&blockid="+id, text); a.Status != 201 {
			t.Errorf("block: %d %s", a.Status, a.Body)
		}
	}
	const list = `<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>`
	if a := put(w, link+"&comp=blocklist", list); a.Status != 201 {
		t.Errorf("list: %d %s", a.Status, a.Body)
	}
	if a := put(w, link+"&comp=blocklist", strings.Replace(list, "YQ==", "eA==", 1)); a.Status != 400 || a.Header.Get("x-ms-error-code") != "InvalidBlockList" {
		t.Errorf("a list with an unknown block: %d %s", a.Status, a.Body)
	}
	if a := put(w, link+"&comp=blocklist", "<"); a.Status != 400 {
		t.Errorf("a broken list: %d %s", a.Status, a.Body)
	}
	if a := put(w, link+"&comp=block&blockid=%25", "x"); a.Status != 400 {
		t.Errorf("a broken block ID: %d %s", a.Status, a.Body)
	}
	if a := put(w, link+"&comp=metadata", "x"); a.Status != 501 {
		t.Errorf("another operation: %d %s", a.Status, a.Body)
	}
	if a := read(w, http.MethodGet, scheduled(t, w, path).Job.Step.Context); a.Body != "one two" {
		t.Errorf("got %q", a.Body)
	}
}

// An upload is of one registry, and a signature of one path.
func TestUploadsOfOthers(t *testing.T) {
	w := servertest.New(t)
	link, path := target(w)
	schedule := func(location string) servertest.Answer {
		return w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", `{"type":"FileTaskRunRequest","taskFilePath":"acb.yaml","sourceLocation":"`+location+`"}`)
	}
	if a := schedule(path); a.Status != 404 {
		t.Errorf("before it was uploaded: %d %s", a.Status, a.Body)
	}
	if a := put(w, link, "archive"); a.Status != 201 {
		t.Fatal(a.Status)
	}
	for _, location := range []string{strings.Replace(path, "/myregistry/", "/otherregistry/", 1), path + "/../x", "tasks-source/x", "some/path"} {
		if a := schedule(location); a.Status != 404 && a.Status != 400 {
			t.Errorf("%s: %d %s", location, a.Status, a.Body)
		}
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = strings.Replace(u.Path, "/myregistry/", "/otherregistry/", 1)
	if a := put(w, u.String(), "x"); a.Status != 403 {
		t.Errorf("a signature for another path: %d", a.Status)
	}
	if a := w.Do(servertest.Request{Method: http.MethodDelete, URL: link}); a.Status != 405 {
		t.Errorf("DELETE: %d", a.Status)
	}
}

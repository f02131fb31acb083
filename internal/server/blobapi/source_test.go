package blobapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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

// Source code is uploaded, named in a request, and read by the agent alone.
func TestUpload(t *testing.T) {
	w := servertest.New(t)
	link, path := target(w)
	if a := put(w, link, "archive"); a.Status != 201 || a.Header.Get("ETag") == "" || a.Header.Get("x-ms-request-server-encrypted") != "true" {
		t.Errorf("PUT: %d %v", a.Status, a.Header)
	}
	w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", `{"type":"FileTaskRunRequest","taskFilePath":"acb.yaml","sourceLocation":"`+path+`"}`)
	l, err := w.Runs.Acquire(t.Context(), lease.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
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
	u := w.Storage.SourceURL(path, time.Now())
	if a := read(w, http.MethodGet, u); string(a.Body) != "one two" {
		t.Errorf("got %q", a.Body)
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

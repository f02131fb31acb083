package door_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"
)

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
	for _, record := range []string{"GNU.sparse.size=" + fmt.Sprint(size), "GNU.sparse.numblocks=1",
		"GNU.sparse.map=" + fmt.Sprint(size-1) + ",1", "GNU.sparse.name=" + name} {
		n := len(record) + 4 // a blank, a line break, and the two digits of the length
		fmt.Fprintf(&records, "%d %s\n", n, record)
	}
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	entry(t, tar.Header{Name: "header", Mode: 0o644, Size: int64(records.Len()), Format: tar.FormatUSTAR},
		records.String())(w)
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
		{"a file of eight exabytes", packed(t,
			entry(t, tar.Header{Name: "Dockerfile", Mode: 0o644, Size: 1<<63 - 1, Format: tar.FormatGNU}, "x")),
			tooLarge},
		{"a file of five gigabytes", packed(t,
			entry(t, tar.Header{Name: "Dockerfile", Mode: 0o644, Size: 5 << 30}, "x")), tooLarge},
		{"a sparse file of a terabyte", sparse(t, "Dockerfile", 1<<40), tooLarge},
		{"a name that goes up", packed(t, entry(t,
			tar.Header{Name: "../../../../tmp/acrux-pwned", Mode: 0o644, Size: 1}, "x")), outside},
		{"a name from the root", packed(t, entry(t, tar.Header{Name: "/tmp/acrux-pwned", Mode: 0o644, Size: 1},
			"x")), outside},
		{"a link out, and through it", packed(t, func(w *tar.Writer) {
			entry(t, tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, "")(w)
			entry(t, tar.Header{Name: "out/acrux-pwned", Mode: 0o644, Size: 1}, "x")(w)
		}), "cannot be unpacked"},
		{"a hard link to a file of the machine",
			packed(t, entry(t, tar.Header{Name: "Dockerfile", Typeflag: tar.TypeLink,
				Linkname: "../../../../etc/passwd"}, "")), "cannot be unpacked"},
		{"half a stream", archive(t)[:60], "the archive"},
		{"a stream in a stream", gzipped(t, archive(t)), "Dockerfile"},
		{"no archive", []byte(strings.Repeat("no archive ", 1000)), "Dockerfile"},
		{"nothing", nil, "Dockerfile"},
		{"a zip", []byte("PK\x03\x04" + strings.Repeat("\x00", 2000)), "Dockerfile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			text := build(t, test.content)
			failed(t, text, test.words)
			if strings.Contains(text, "sig=") {
				t.Errorf("the log has the signature of the upload's URL: %s", text)
			}
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
		fmt.Fprintf(&laughs, "x%d: &x%d [%s]\n", i, i,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10), ", "))
	}
	laughs.WriteString("steps:\n- cmd: *x11\n")
	for _, test := range []struct{ name, file, words string }{
		{"steps", "version: v1.1.0\nsteps:\n" + strings.Repeat("- cmd: a\n", 6000), "at most 5000 are possible"},
		{"a billion laughs", laughs.String(), "failed to deserialize task"},
		{"depth", "version: v1.1.0\nsteps: " + strings.Repeat("[", 50_000), "exceeded max depth"},
		{"depth in a template", "version: v1.1.0\nsteps:\n- cmd: '" + strings.Repeat("{{if true}}", 20_000) +
			"'\n", "unable to render task"},
		{"a template without an end", `version: v1.1.0` +
			"\nsteps:\n- cmd: '{{range $i := until 1000000000}}xxxxxxxxxxxx{{end}}'\n", "unable to render task"},
		{"a template that calls itself", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}` +
			"\nversion: v1.1.0\nsteps: []\n", "unable to render task"},
		{"a template that repeats", "version: v1.1.0\nsteps:\n- cmd: '{{repeat 2000000000 \"x\"}}'\n",
			"unable to render task"},
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

//go:build linux && cgo

package step_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// hidden is a secret with signs that encodings change, key one of several lines.
const (
	hidden = "Hid/den \"+w?rd&=4711<äö>~"
	key    = "first-line-of-0815\nsecond-line-of-0815"
)

// forms are what tools print of a secret.
func forms() map[string]string {
	quoted, _ := json.Marshal(hidden)
	all := map[string]string{
		"as it is":                   hidden,
		"twice":                      hidden + hidden,
		"within a word":              "x" + hidden + "x",
		"in Base64":                  base64.StdEncoding.EncodeToString([]byte(hidden)),
		"in Base64 without padding":  base64.RawStdEncoding.EncodeToString([]byte(hidden)),
		"in Base64 for URLs":         base64.URLEncoding.EncodeToString([]byte(hidden)),
		"in hex":                     hex.EncodeToString([]byte(hidden)),
		"in HEX":                     strings.ToUpper(hex.EncodeToString([]byte(hidden))),
		"in a query":                 url.QueryEscape(hidden),
		"in a path":                  url.PathEscape(hidden),
		"in a query, in small signs": strings.ToLower(url.QueryEscape("4711+/w")) + url.QueryEscape(hidden),
		"in JSON":                    string(quoted),
		"with a line's blanks":       "\t" + hidden + "   ",
		"as the first line of a key": "first-line-of-0815",
		"as another line of a key":   "second-line-of-0815",
	}
	for _, before := range []string{"u:", "us:", "user:"} {
		all["in Base64 behind "+before] = base64.StdEncoding.EncodeToString([]byte(before + hidden))
	}
	return all
}

// telling are texts of a secret that no log may have: any eight signs of it that are no word,
// and of its forms what is the secret's alone.
func telling() []string {
	plain := base64.StdEncoding.EncodeToString([]byte(hidden))
	return []string{"Hid/den", "w?rd&=4711", "-line-of-0815", plain[4:20], hex.EncodeToString([]byte(hidden))[4:20], strings.ToUpper(hex.EncodeToString([]byte(hidden))[4:20]),
		url.QueryEscape(hidden)[5:20], url.PathEscape(hidden)[5:20], "w?rd\\u00264711"}
}

// printSecrets are steps that print them in other ways.
var printSecrets = []stepCase{
	{"control: what is none", "cmd: IMAGE echo no-secret-here", "no-secret-here", "***"},
	{"in pieces", "cmd: IMAGE sh -c 'printf Hid/den; sleep 0.2; printf \" \\\"+w?rd&\"; sleep 0.2; tail -c +16 /workspace/hidden'", "***", "Hid"},
	{"with another stream between", "cmd: IMAGE sh -c 'head -c 9 /workspace/hidden; echo between >&2; tail -c +10 /workspace/hidden'", "***", "Hid"},
	{"on the stream of errors", "cmd: IMAGE sh -c 'cat /workspace/hidden >&2'", "***", "Hid"},
	{"a sign at a time", "cmd: IMAGE sh -c 'i=0; while test $i -lt 40; do dd if=/workspace/hidden bs=1 skip=$i count=1 2>/dev/null; i=$((i+1)); done'", "***", "Hid"},
	{"without an end of line, and a failure", "cmd: IMAGE sh -c 'cat /workspace/hidden; exit 3'", "exit status 3", "Hid"},
	{"behind many blanks", "cmd: IMAGE sh -c 'head -c 70000 /dev/zero | tr \"\\0\" \" \"; cat /workspace/hidden'", "***", "Hid"},
	{"as an image", "cmd: '{{.Values.word}} x'", "***", "hidden-word"},
	{"as an option", "cmd: --{{.Values.word}} IMAGE x", "***", "hidden-word"},
	{"as a working directory of a build", "build: -f args {{.Values.word}}", "***", "hidden-word"},
	{"as a variable", "cmd: IMAGE env\nenv: ['A={{.Values.word}}']", "A=***", "hidden-word"},
	{"as a variable of another step", "cmd: IMAGE env", "PATH=", "A="},
	{"in a build's argument", "build: --build-arg W={{.Values.word}} -f args .", "said ***", "hidden-word"},
	{"in a build's secret", "build: --secret id=w,src=word -f secrets .", "said ***", "hidden-word"},
	{"in a build that fails", "build: --build-arg W={{.Values.word}} -f fails .", "***", "hidden-word"},
	{"in a build with BuildKit's output", "build: --no-cache --build-arg W={{.Values.word}} -f args .\nenv: [DOCKER_BUILDKIT=1]", "said ***", "hidden-word"},
	{"in the name of a pushed image", "push: ['{{.Values.word}}/x:1']", "***", "hidden-word"},
}

func secretsInLogs(t *testing.T, p *place) {
	var names, lines []string
	for name, form := range forms() {
		names, lines = append(names, name), append(lines, fmt.Sprintf("form%d:%s", len(lines), form))
	}
	entries := []entry{file("forms", strings.Join(lines, "\n")+"\n"), file("hidden", hidden), file("word", "hidden-word-0042"),
		file("args", "FROM "+p.Base+"\nARG W\nRUN echo said $W\n"), file("fails", "FROM "+p.Base+"\nARG W\nRUN echo $W && exit 5\n"),
		file("secrets", "FROM "+p.Base+"\nRUN --mount=type=secret,id=w echo said $(cat /run/secrets/w)\n")}
	from := served(t, zipped(t, archive(t, entries...)))
	with := func(job *lease.Job) {
		job.Step.Context = from
		for name, value := range map[string]string{"hidden": hidden, "key": key, "word": "hidden-word-0042"} {
			job.Step.Values = append(job.Step.Values, lease.Value{Name: name, Value: value, Secret: true})
		}
	}
	_, log := task(t, p.executor, "steps: [{cmd: "+p.Base+" cat /workspace/forms}]", with)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			_, line, _ := strings.Cut(log, fmt.Sprintf("\nform%d:", i))
			line, _, _ = strings.Cut(line, "\n")
			if !strings.Contains(line, "***") {
				t.Errorf("it was not masked: %q", line)
			}
			for _, told := range telling() {
				if strings.Contains(line, told) {
					t.Errorf("%q tells %q", line, told)
				}
			}
		})
	}
	trySteps(t, p, "", printSecrets, with)
}

// What a build was told is not in the image that others pull.
func secretsInImages(t *testing.T, p *place) {
	image := p.Public.Host + "/attack/history:1"
	dockerfile := "FROM " + p.Base + "\nARG W\nARG OPEN\nRUN echo $OPEN $W > /dev/null\nRUN --mount=type=secret,id=w cat /run/secrets/w > /dev/null\nLABEL by=me\n"
	from := served(t, zipped(t, archive(t, file("Dockerfile", dockerfile), file("word", "hidden-word-0042"))))
	steps := fmt.Sprintf("steps:\n- build: -t %s --build-arg OPEN=open-word-0042 --build-arg W={{.Values.word}} --secret id=w,src=word .\n- push: [%q]\n", image, image)
	result, log := task(t, p.executor, steps, func(job *lease.Job) {
		job.Step.Context = from
		job.Step.Values = []lease.Value{{Name: "word", Value: "hidden-word-0042", Secret: true}}
	})
	if result.Status != lease.Succeeded {
		t.Fatal(log)
	}
	ref, err := name.ParseReference(image)
	must(t, err)
	pushed, err := remote.Image(ref)
	must(t, err)
	config, err := pushed.RawConfigFile()
	must(t, err)
	manifest, err := pushed.RawManifest()
	must(t, err)
	t.Run("the configuration", func(t *testing.T) {
		if strings.Contains(string(config), "hidden-word") || !strings.Contains(string(config), "open-word-0042") {
			t.Errorf("want the word that is open, and it alone: %s", config)
		}
	})
	t.Run("the manifest", func(t *testing.T) {
		if strings.Contains(string(manifest), "hidden-word") || !strings.Contains(string(manifest), "config") {
			t.Errorf("%s", manifest)
		}
	})
}

// What one task's builds keep, another's do not find. On a Docker Engine the cache is the
// engine's, which its documentation says.
func cachesOfTasks(t *testing.T, p *place) {
	if p.kind == onEngine {
		return
	}
	in := func(scope string) *run {
		return p.open(t, func(spec *engine.RunSpec) { spec.CacheScope = scope })
	}
	write := "FROM " + p.Base + "\nRUN --mount=type=cache,id=shared,target=/c echo kept-$((40+2)) > /c/f\n"
	read := "FROM " + p.Base + "\nRUN --mount=type=cache,id=shared,target=/c cat /c/f || echo nothing-$((40+2))\n"
	layer := "FROM " + p.Base + "\nRUN head -c 8 /dev/urandom | wc -c && cat /proc/sys/kernel/random/uuid\n"
	build := func(scope, text string, b engine.Build) (engine.BuildResult, string) {
		return in(scope).build(t, text, b)
	}
	build("one", write, engine.Build{})
	_, first := build("one", layer, engine.Build{})
	t.Run("control: the content of a cache", func(t *testing.T) {
		if _, out := build("one", read, engine.Build{}); !strings.Contains(out, "kept-42") {
			t.Error(out)
		}
	})
	for _, scope := range []string{"two", "", "one/x", "../one"} {
		t.Run("the content of a cache, from "+strings.ReplaceAll(scope, "/", "|"), func(t *testing.T) {
			if _, out := build(scope, read, engine.Build{}); strings.Contains(out, "kept-42") || !strings.Contains(out, "nothing-42") {
				t.Error(out)
			}
		})
	}
	t.Run("control: a layer", func(t *testing.T) {
		if result, out := build("one", layer, engine.Build{}); result.Layers.Cached == 0 {
			t.Errorf("%+v: %s, %s", result.Layers, first, out)
		}
	})
	t.Run("a layer", func(t *testing.T) {
		if result, out := build("two", layer, engine.Build{}); result.Layers.Cached != 0 {
			t.Errorf("%+v: %s", result.Layers, out)
		}
	})
}

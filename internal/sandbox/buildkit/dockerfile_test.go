package buildkit

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseDockerfile(t *testing.T) {
	for _, test := range []struct {
		name, in, target string
		args             map[string]string
		steps            []string
		bases            []string
	}{
		{
			name: "tutorial", in: "ARG REGISTRY_NAME\nFROM ${REGISTRY_NAME}/baseimages/node:15-alpine\n\nCOPY . /src\nRUN cd /src && \\\n  npm install\nEXPOSE 80\nCMD [\"node\", \"/src/server.js\"]\n",
			args:  map[string]string{"REGISTRY_NAME": "mybaseregistry.azurecr.io"},
			steps: []string{"ARG REGISTRY_NAME", "FROM ${REGISTRY_NAME}/baseimages/node:15-alpine", "COPY . /src", "RUN cd /src &&   npm install", "EXPOSE 80", `CMD ["node", "/src/server.js"]`},
			bases: []string{"mybaseregistry.azurecr.io/baseimages/node:15-alpine"},
		},
		{
			name: "default of an argument", in: "ARG A=x\nARG B=${A}:1\nFROM $B\n",
			steps: []string{"ARG A=x", "ARG B=${A}:1", "FROM $B"}, bases: []string{"x:1"},
		},
		{
			name: "stages", in: "FROM a AS one\nRUN 1\nFROM b AS two\nRUN 2\nFROM c\nCOPY --from=two / /\nCOPY --from=d / /\nRUN --mount=from=e,target=/e true\n",
			steps: []string{"FROM b AS two", "RUN 2", "FROM c", "COPY --from=two / /", "COPY --from=d / /", "RUN --mount=from=e,target=/e true"},
			bases: []string{"c", "b", "d", "e"},
		},
		{name: "target", in: "FROM a AS one\nFROM one AS two\nFROM b\n", target: "two", steps: []string{"FROM a AS one", "FROM one AS two"}, bases: []string{"a"}},
		{name: "target by number", in: "FROM a\nFROM b\n", target: "0", steps: []string{"FROM a"}, bases: []string{"a"}},
		{name: "scratch", in: "FROM scratch\nCOPY a b\n", steps: []string{"FROM scratch", "COPY a b"}},
		{name: "platform", in: "FROM --platform=$BUILDPLATFORM x-$TARGETOS\n", steps: []string{"FROM --platform=$BUILDPLATFORM x-$TARGETOS"}, bases: []string{"x-linux"}},
	} {
		d, err := parseDockerfile([]byte(test.in), test.target, test.args, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var steps []string
		for _, step := range d.steps {
			steps = append(steps, step.text)
		}
		if !slices.Equal(steps, test.steps) {
			t.Errorf("%s: steps %q, want %q", test.name, steps, test.steps)
		}
		if !slices.Equal(d.bases, test.bases) {
			t.Errorf("%s: bases %q, want %q", test.name, d.bases, test.bases)
		}
	}
}

func TestParseDockerfileErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":               "no instructions",
		"RUN x\n":        "no build stage in current context",
		"FROM a\nNOPE\n": "line 2",
	} {
		_, err := parseDockerfile([]byte(in), "", nil, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", in, err, want)
		}
	}
	if _, err := parseDockerfile([]byte("FROM a\n"), "nowhere", nil, nil); err == nil {
		t.Error("an unknown target was accepted")
	}
}

// A device of the machine is refused, and not left out.
func TestDevicesAreRefused(t *testing.T) {
	for text, want := range map[string]error{
		"FROM a\nRUN --device=all x\n":                          errDevices,
		"FROM a\nRUN --device=vendor.com/d=one,required x\n":    errDevices,
		"FROM a AS unused\nRUN --device=all x\nFROM b\nRUN x\n": nil,
	} {
		if _, err := parseDockerfile([]byte(text), "", nil, nil); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

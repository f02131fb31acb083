package programs_test

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// asking are commands that print 401 where they trust the server at a host, which nobody has
// signed in at: node and python as their variables tell them, docker by the host.
var asking = map[string]string{
	"curl":    "curl -sS -o /dev/null -w %{http_code} https://HOST/v2/",
	"go":      "ask https://HOST/v2/",
	"openssl": `printf 'GET /v2/ HTTP/1.0\r\nHost: HOST\r\n\r\n' | openssl s_client -quiet -verify_return_error -connect HOST 2>&1 | grep HTTP/`,
	"node":    `curl -s -o /dev/null -w %{http_code} --capath / --cacert "$NODE_EXTRA_CA_CERTS" https://HOST/v2/`,
	"python":  `curl -s -o /dev/null -w %{http_code} --capath / --cacert "$REQUESTS_CA_BUNDLE" https://HOST/v2/`,
	"docker":  "curl -s -o /dev/null -w %{http_code} --capath / --cacert /etc/docker/certs.d/HOST/ca.crt https://HOST/v2/",
}

// script is a shell script that prints how each of the programs did, on a line of its own.
func script(host string, programs ...string) string {
	text := "#!/bin/sh\n"
	for _, program := range programs {
		text += "echo " + program + " $(" + strings.ReplaceAll(asking[program], "HOST", host) + ")\n"
	}
	return text
}

// trusted reports whether each program's line says that it got through.
func trusted(log string, programs ...string) bool {
	for _, program := range programs {
		line := log[max(0, strings.Index(log, "\n"+program+" ")):]
		if first, _, _ := strings.Cut(strings.TrimPrefix(line, "\n"), "\n"); !strings.Contains(first, "401") {
			return false
		}
	}
	return true
}

func TestTrust(t *testing.T) {
	// In a RUN curl would take a name that ends in localhost for its own machine.
	w := newWorld(t, "domain: acrux.test\n")
	t.Run("steps", func(t *testing.T) { stepsTrust(t, w) })
	t.Run("builds", func(t *testing.T) { buildsTrust(t, w) })
	must(t, w.Stop())
}

func stepsTrust(t *testing.T, w *world) {
	all := []string{"curl", "go", "openssl", "node", "python", "docker"}
	log, err := w.task("- cmd: $Registry/debian:1 sh /workspace/ask.sh\n", map[string]string{"ask.sh": script(w.host, all...)})
	if err != nil || !trusted(log, all...) {
		t.Errorf("an image with authorities: %v\n%s", err, log)
	}
	log, err = w.task("- cmd: $Registry/bare:1 sh /workspace/ask.sh\n", map[string]string{"ask.sh": script(w.host, "go")})
	if err != nil || !trusted(log, "go") {
		t.Errorf("an image without: %v\n%s", err, log)
	}
	// Whoever is told to trust somebody else does.
	log, err = w.task("- cmd: $Registry/debian:1 sh /workspace/ask.sh\n  env: [SSL_CERT_FILE=/workspace/other.pem]\n",
		map[string]string{"ask.sh": script(w.host, "openssl"), "other.pem": ""})
	if err != nil || !strings.Contains(log, "openssl ") {
		t.Errorf("an authority of one's own: %v\n%s", err, log)
	}
}

// A RUN trusts the server; what it leaves is what it made.
func buildsTrust(t *testing.T, w *world) {
	programs := []string{"curl", "go", "openssl", "node"}
	dockerfile := "FROM " + w.host + "/debian:1 AS one\nCOPY ask.sh /\nRUN sh /ask.sh && echo made > /made\n" +
		"FROM " + w.host + "/bare:1\nCOPY ask.sh /\nRUN ask https://" + w.host + "/v2/ > /made\nCOPY --from=one /made /made2\n"
	files := map[string]string{"Dockerfile": dockerfile, "ask.sh": script(w.host, programs...)}
	log, err := w.task("- build: -t $Registry/built:0 --target one .\n- build: -t $Registry/built:1 .\n- push: [$Registry/built:0, $Registry/built:1]\n", files)
	if err != nil || !trusted(log, programs...) {
		t.Errorf("%v\n%s", err, log)
	}
	for image, want := range map[string]string{"built:0": "made", "built:1": "made"} {
		if made := w.layerOf(image, want); len(made) != 1 {
			t.Errorf("the RUN of %s left %q", image, made)
		}
	}
}

// layerOf lists the files, and not the directories, of the layer of an image that has a file.
func (w *world) layerOf(image, file string) []string {
	w.t.Helper()
	pulled, err := remote.Image(w.ref(image), w.options()...)
	must(w.t, err)
	layers, err := pulled.Layers()
	must(w.t, err)
	for _, layer := range layers {
		if files := filesOf(w.t, layer); len(files) > 0 && files[len(files)-1] == file {
			return files
		}
	}
	w.t.Errorf("no layer of %s ends with %s", image, file)
	return nil
}

func filesOf(t *testing.T, layer v1.Layer) (files []string) {
	t.Helper()
	content, err := layer.Uncompressed()
	must(t, err)
	defer content.Close()
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		if header.Typeflag != tar.TypeDir {
			files = append(files, path.Clean(header.Name))
		}
	}
}

// With the default domain too, as any user of an image, who finds the run's logins as well.
func TestTrustAsSomebody(t *testing.T) {
	w := newWorld(t, "")
	some := []string{"curl", "go"}
	files := map[string]string{"ask.sh": script(w.host, some...) + "grep -c auths $DOCKER_CONFIG/config.json $REGISTRY_AUTH_FILE\n"}
	log, err := w.task("- cmd: --user 1000 $Registry/debian:1 sh /workspace/ask.sh\n", files)
	if err != nil || !trusted(log, some...) || strings.Count(log, "/config.json:1\n") != 2 {
		t.Errorf("%v\n%s", err, log)
	}
	must(t, w.Stop())
}

func TestTrustIsOff(t *testing.T) {
	w := newWorld(t, "agent: {stepTrust: \"off\"}\n")
	log, _ := w.task("- cmd: $Registry/debian:1 ask https://$Registry/v2/\n", nil)
	if !strings.Contains(log, "certificate signed by unknown authority") {
		t.Errorf("it trusts the server:\n%s", log)
	}
	must(t, w.Stop())
}

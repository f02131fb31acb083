package door_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// forms are a secret as it is, and as tools write it: base64 wherever in a text it stands,
// hexadecimal, with escapes of URLs and of JSON.
func forms(secret string) [][]byte {
	all := []string{secret, hex.EncodeToString([]byte(secret)),
		strings.ToUpper(hex.EncodeToString([]byte(secret))), url.QueryEscape(secret), url.PathEscape(secret)}
	text, _ := json.Marshal(secret) // a text always encodes
	all = append(all, strings.Trim(string(text), `"`))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before, skip := range []int{0, 2, 3} { // letters that depend on what stands before
			text := encoding.EncodeToString(append(make([]byte, before), secret...))
			if (before+len(secret))%3 != 0 {
				text = text[:len(text)-1] // and on what stands behind
			}
			all = append(all, text[skip:])
		}
	}
	var found [][]byte
	for _, form := range all {
		found = append(found, []byte(form))
	}
	return found
}

// shows reports whether content has a secret in any form.
func shows(content []byte, secret string) bool {
	for _, form := range forms(secret) {
		if bytes.Contains(content, form) {
			return true
		}
	}
	return false
}

// files are the files of a directory by their name, those that are compressed as they are
// and unpacked. What is there several times is there once, and programs are left out.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all, known := map[string][]byte{}, map[string]bool{}
	keep := func(path string, content []byte) {
		if digest := digestOf(string(content)); !known[digest] && !bytes.HasPrefix(content, []byte("\x7fELF")) {
			all[path], known[digest] = content, true
		}
	}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) || err == nil &&
			(!d.Type().IsRegular() || strings.HasSuffix(path, ".ns") || strings.HasSuffix(path, ".user")) {
			return nil // the engine is at work, and has namespaces there
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		keep(path, content)
		if unpacked, err := gzip.NewReader(bytes.NewReader(content)); err == nil {
			text, _ := io.ReadAll(unpacked) // as far as it goes
			keep(path+" (unpacked)", text)
		}
		return err
	}))
	return all
}

// kept are secrets, by where they were put.
type kept map[string]string

const visible = "Qx7+visible/0000=Zz" // what is no secret, and is seen

// tells is a task that says its secrets in all ways, builds with them, and pushes.
const tells = `version: v1.1.0
steps:
- cmd: |
    $Registry/base:1 sh -c '
      echo "visible: $visible"
      echo "plain: $stored $given"
      echo "base64: $(printf %s "$stored" | busybox base64) $(printf "x%s" "$given" | busybox base64)"
      echo "hex: $(printf %s "$stored" | busybox hexdump -ve "1/1 \"%02x\"")"
      echo "end" >&2
      printf "FROM $0\nARG TOKEN\nRUN echo TOKEN is \$TOKEN\n" > /workspace/Dockerfile
      echo "RUN --mount=type=secret,id=t cat /run/secrets/t" >> /workspace/Dockerfile' $Registry/base:1
  env: ["visible={{.Values.visible}}", "stored={{.Values.stored}}", "given={{.Values.given}}"]
- build: -t $Registry/built:1 --build-arg TOKEN={{.Values.stored}} --secret id=t,env=T .
  env: ["T={{.Values.given}}"]
- push: [$Registry/built:1]
`

// hide puts a secret wherever one can be put, and lets runs use them. It returns them, and
// all that was answered and logged on the way.
func (w *world) hide(t *testing.T) (secrets kept, said []byte) {
	t.Helper()
	reg := w.registry(group1, first)
	secrets = kept{}
	value := func(name string) string {
		secrets[name] = fmt.Sprintf("Qx7+secret/%04d=Zz", 4000+len(secrets))
		return secrets[name]
	}
	var log bytes.Buffer
	keep := func(a answer) answer { fmt.Fprintf(&log, "%d %v %s\n", a.status, a.header, a.body); return a }
	w.arm(t, w.admin, "POST", reg+"/importImage",
		`{"source":{"registryUri":"docker.io","sourceImage":"library/node:15-alpine"},"targetTags":["base:1"]}`).ok(t)
	eventually(t, "the base image", func() bool {
		return w.v2(t, first, basic(refresher, w.admin.refresh(t, first)), "GET", "/v2/base/manifests/1",
			"").status == 200
	})
	body := fmt.Sprintf(`{"location":"eastus","identity":{"type":"SystemAssigned"},`+
		`"properties":{"platform":{"os":"linux"},`+
		`"credentials":{"customRegistries":{"%s":{"userName":{"type":"Opaque","value":"%s"},`+
		`"password":{"type":"Opaque","value":"%s"}}}},`+
		`"step":{"type":"EncodedTask","encodedTaskContent":"%s",`+
		`"values":[{"name":"stored","value":"%s","isSecret":true},{"name":"visible","value":"%s","isSecret":false}]}}}`,
		upstreamHost, value("user name of a registry"), value("password of a registry"),
		base64.StdEncoding.EncodeToString([]byte(tells)), value("value of a task"), visible)
	keep(w.arm(t, w.admin, "PUT", reg+"/tasks/tells1", body).ok(t))
	keep(w.arm(t, w.admin, "PUT", reg+"/tasks/builds1",
		fmt.Sprintf(`{"location":"eastus","properties":{"platform":{"os":"linux"},"step":{"type":"Docker",`+
			`"dockerFilePath":"Dockerfile","imageNames":["x:1"],"contextPath":"http://127.0.0.1:1/x.tar.gz",`+
			`"contextAccessToken":"%s","arguments":[{"name":"A","value":"%s","isSecret":true}]}}}`,
			value("token of a context"), value("argument of a task"))).ok(t))
	runs := []answer{
		w.arm(t, w.admin, "POST", reg+"/scheduleRun",
			fmt.Sprintf(`{"type":"TaskRunRequest","taskId":"%s/tasks/tells1",`+
				`"overrideTaskStepProperties":{"values":[{"name":"given","value":"%s","isSecret":true}]}}`, reg,
				value("value of a run"))),
		w.arm(t, w.admin, "POST", reg+"/scheduleRun",
			fmt.Sprintf(`{"type":"TaskRunRequest","taskId":"%s/tasks/builds1",`+
				`"overrideTaskStepProperties":{"arguments":[{"name":"B","value":"%s","isSecret":true}]}}`, reg,
				value("argument of a run"))),
		w.arm(t, w.admin, "POST", reg+"/scheduleRun",
			fmt.Sprintf(`{"type":"DockerBuildRequest","platform":{"os":"linux"},"dockerFilePath":"Dockerfile",`+
				`"imageNames":["x:1"],"sourceLocation":"http://user:%s@127.0.0.1:1/x.git#main",`+
				`"arguments":[{"name":"A","value":"%s","isSecret":true}]}`,
				url.QueryEscape(value("password in a URL")), value("argument of a quick build"))),
		w.arm(t, w.admin, "POST", reg+"/scheduleRun",
			fmt.Sprintf(`{"type":"DockerBuildRequest","platform":{"os":"linux"},"dockerFilePath":"Dockerfile",`+
				`"imageNames":["x:1"],"sourceLocation":"http://127.0.0.1:1/x.tar.gz?sig=%s"}`,
				url.QueryEscape(value("signature of a context's URL")))),
		w.schedule(t, w.admin, first, "steps:\n- cmd: [ {{.Values.v}}\n",
			fmt.Sprintf(`,"values":[{"name":"v","value":"%s","isSecret":true}]`,
				value("value in a task file that is broken"))),
		w.schedule(t, w.admin, first, "version: v1.1.0\nsteps:\n- cmd: {{.Values.v}}/x:1 true\n",
			fmt.Sprintf(`,"values":[{"name":"v","value":"%s","isSecret":true}],`+
				`"credentials":{"customRegistries":{"%s":{"userName":{"type":"Opaque","value":"u"},`+
				`"password":{"type":"Opaque","value":"%s"}}}}`,
				value("value in a step that fails"), upstreamHost, value("password of a quick run"))),
	}
	for i, scheduled := range runs {
		state, text := w.finished(t, first, keep(scheduled.ok(t)).text("properties", "runId"))
		keep(state)
		fmt.Fprintln(&log, text)
		if i == 0 && state.text("properties", "status") != "Succeeded" {
			t.Errorf("the run that tells ended so: %s %s", state.body, text)
		}
	}
	w.hideElsewhere(t, value, secrets, keep)
	return secrets, log.Bytes()
}

// hideElsewhere puts secrets where no run sees them, and into requests that are refused.
func (w *world) hideElsewhere(t *testing.T, value func(string) string, secrets kept, keep func(answer) answer) {
	t.Helper()
	reg := w.registry(group1, first)
	imported := keep(w.arm(t, w.admin, "POST", reg+"/importImage",
		fmt.Sprintf(`{"source":{"registryUri":"%s","sourceImage":"library/node:15-alpine",`+
			`"credentials":{"username":"u","password":"%s"}},"targetTags":["imported:1"]}`,
			upstreamHost, value("password of an import"))))
	w.operation(t, w.admin, imported)
	name, password := "secretive@acrux.example", value("password of a user")
	w.newUser(t, name, password)
	user := w.form(t, w.tokenURL(), "grant_type", "password", "username", name, "password", password, "client_id",
		"04b07795-8ddb-461a-bbee-02f9e1bf7b46", "scope", w.Published.URL("management")+"/.default offline_access").ok(t)
	secrets["refresh token of a user"], secrets["token of a user"] = user.text("refresh_token"),
		user.text("access_token")
	keep(w.form(t, w.tokenURL(), "grant_type", "password", "username", name, "password",
		value("wrong password of a user"), "client_id", "x", "scope", "x/.default"))
	p := w.newOne(t, "secretive", "Reader", w.group(group1))
	secrets["secret of a program"], secrets["identity token"] = p.secret, p.armToken(t)
	secrets["refresh token of a registry"] = w.admin.refresh(t, first)
	secrets["access token of a registry"] = w.accessFor(t, first, secrets["refresh token of a registry"],
		"repository:app:pull")
	w.v2(t, first, bearer(secrets["access token of a registry"]), "GET", "/v2/app/manifests/1", "").ok(t)
	keep(w.form(t, w.tokenURL(), "grant_type", "client_credentials", "client_id", p.clientID, "client_secret",
		value("wrong secret of a program"), "scope", "x/.default"))
	secrets["password of a token"] = w.scopedToken(t, first, "secretive", "repositories/app/content/read").password
	w.arm(t, w.admin, "PATCH", reg, `{"properties":{"adminUserEnabled":true}}`).ok(t)
	secrets["password of the admin user"] = w.arm(t, w.admin, "POST", reg+"/listCredentials",
		"").ok(t).at("passwords", "0").(map[string]any)["value"].(string)
	keep(w.v2(t, first, basic(first, value("wrong password of the admin user")), "GET", "/v2/", ""))
	keep(w.v2(t, first, bearer(value("wrong token")), "GET", "/v2/", ""))
	upload := w.arm(t, w.admin, "POST", reg+"/listBuildSourceUploadUrl", "").ok(t).text("uploadUrl")
	link, err := url.Parse(upload)
	must(t, err)
	secrets["signature of a URL"] = link.Query().Get("sig")
	w.do(t, ask{"PUT", upload, []string{"x-ms-blob-type", "BlockBlob"}, "x"}).ok(t)
	// What is refused is not repeated either.
	credential := `"credentials":{"customRegistries":{"a/b":{"userName":{"type":"Opaque","value":"u"},` +
		`"password":{"type":"Opaque","value":"%s"}}}}`
	for name, body := range map[string]string{
		"password in a task that is refused": `{"location":"eastus","properties":{"platform":{"os":"linux"},` +
			`` + credential + `,"step":{"type":"EncodedTask","encodedTaskContent":"c3RlcHM6IFtdCg=="}}}`,
		"value in a task that is refused": `{"location":"eastus","properties":{"platform":{"os":"linux"},` +
			`"timeout":-1,"step":{"type":"EncodedTask","encodedTaskContent":"c3RlcHM6IFtdCg==",` +
			`"values":[{"name":"v","value":"%s","isSecret":true}]}}}`,
		"token in a trigger, which is refused": `{"location":"eastus","properties":{"platform":{"os":"linux"},` +
			`"trigger":{"sourceTriggers":[{"name":"t","sourceRepository":{"sourceControlType":"Github",` +
			`"repositoryUrl":"https://github.com/a/b","sourceControlAuthProperties":{"tokenType":"PAT",` +
			`"token":"%s"}},"sourceTriggerEvents":["commit"]}]},"step":{"type":"EncodedTask",` +
			`"encodedTaskContent":"c3RlcHM6IFtdCg=="}}}`,
		"value of a wrong type in a task": `{"location":"eastus","properties":{"platform":{"os":"linux"},` +
			`"step":{"type":"EncodedTask","encodedTaskContent":"c3RlcHM6IFtdCg==","values":"%s"}}}`,
		"password in a task that is no JSON": `{"location":"eastus","password":"%s"`,
		"password where a credential is expected": `{"location":"eastus",` +
			`"properties":{"credentials":{"customRegistries":{"a.example":"%s"}}}}`,
	} {
		if a := keep(w.arm(t, w.admin, "PUT", reg+"/tasks/refused1", fmt.Sprintf(body, value(name)))); a.status < 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

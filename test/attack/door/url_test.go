package door_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// What looks like one thing and is another, and what is no HTTP.
func TestURLs(t *testing.T) {
	closed := strict(t)
	c, port := newCanary(t)
	leader := newLeader(t)
	here := "127.0.0.1:" + port
	t.Run("control: the allowed address", func(t *testing.T) {
		if text := closed.build(t, "http://"+leader+"/x.tar.gz"); !strings.HasPrefix(text, "Succeeded") {
			t.Errorf("got %s", text)
		}
		if text := closed.build(t, "http://"+leader+"/to/"+leader+"/x.tar.gz"); !strings.HasPrefix(text, "Succeeded") {
			t.Errorf("redirected: %s", text)
		}
	})
	t.Run("control: what follows the allowed address is a fragment", func(t *testing.T) {
		if text := closed.build(t, "http://"+leader+"/x.tar.gz#@"+here); !strings.HasPrefix(text, "Succeeded") {
			t.Errorf("got %s", text)
		}
	})
	noRef := "not a valid name"
	t.Run("attacks", func(t *testing.T) {
		for _, test := range []struct{ name, context, words string }{
			{"archive, redirected", "http://" + leader + "/to/" + here + "/x.tar.gz", byPolicy},
			{"archive, redirected by a name",
				"http://allowed.example:" + leader[strings.LastIndex(leader, ":")+1:] + "/to/" + here +
					"/x.tar.gz", byPolicy},
			{"archive, redirected to metadata", "http://" + leader + "/to/" + metadata + ":" + port + "/x.tar.gz",
				byPolicy},
			{"archive, redirected twice", "http://" + leader + "/to/" + leader + "/to/" + here + "/x.tar.gz", byPolicy},
			{"git, redirected", "http://" + leader + "/to/" + here + "/x.git#main", byPolicy},
			{"archive with a user", "http://" + leader + "@" + here + "/x.tar.gz", byPolicy},
			{"archive with user and password", "http://a:" + leader + "@" + here + "/x.tar.gz", byPolicy},
			{"archive with two ats", "http://a@" + leader + "@" + here + "/x.tar.gz", byPolicy},
			{"archive with an escaped at", "http://" + leader + "%40" + here + "/x.tar.gz", "not supported"},
			{"archive with a backslash", "http://" + leader + `\@` + here + "/x.tar.gz", "not supported"},
			{"git with a user", "http://" + leader + "@" + here + "/x.git#main", byPolicy},
			{"line break in the path", "http://" + leader + "/x.tar.gz HTTP/1.1\r\nHost: " + here + "\r\n\r\n",
				"not supported"},
			{"escaped line break", "http://" + leader + "/to/" + here + "/%0d%0aX:%20y/x.tar.gz", byPolicy},
			{"file", "file:///etc/passwd", notSource},
			{"gopher", "gopher://" + here + "/x.tar.gz", notSource},
			{"ftp", "ftp://" + here + "/x.tar.gz", notSource},
			{"dict", "dict://" + here + "/x", notSource},
			{"ssh", "ssh://git@" + here + "/x.git", notSource},
			{"ssh without its name", "git@127.0.0.1:x.git#main", "not supported"},
			{"git", "git://" + here + "/x.git#main", "not supported"},
			{"ext", "ext::sh -c touch% /tmp/acrux-pwned", notSource},
			{"fd", "fd::17", notSource},
			{"a file of the machine", "/etc/passwd", notSource},
			{"a path that goes up", "../../../etc/passwd", notSource},
			{"an option", "--upload-pack=touch /tmp/acrux-pwned", notSource},
			{"a proxy command", "-oProxyCommand=touch /tmp/acrux-pwned", notSource},
			{"an option as the branch", "http://" + leader + "/x.git#--upload-pack=touch", noRef},
			{"an option as the branch, escaped", "http://" + leader + "/x.git#-u", noRef},
			{"a proxy command as the branch", "http://" + leader + "/x.git#-oProxyCommand=x", noRef},
			{"a refspec as the branch", "http://" + leader + "/x.git#+refs/heads/*", noRef},
			{"a blank in the branch", "http://" + leader + "/x.git#main --upload-pack=x", noRef},
			{"a host that is an option", "http://-oProxyCommand=x/x.git#main", noSuch},
			{"artifact on loopback", "oci://" + here + "/a/b:1", byPolicy},
			{"artifact at metadata", "oci://" + metadata + ":" + port + "/a/b:1", byPolicy},
		} {
			t.Run(test.name, func(t *testing.T) { t.Parallel(); failed(t, closed.build(t, test.context), test.words) })
		}
		for _, test := range []struct{ name, host, words string }{
			{"user", leader + "@" + here, notURL}, {"user and password", "a:b@" + here, notURL},
			{"path", here + "/x", byPolicy}, {"query", here + "?x", notURL},
			{"fragment", leader + "#" + here, notURL}, {"line break", leader + "\r\nHost: " + here, notURL},
			{"file", "file:///etc/passwd", noSuch},
			{"gopher", "gopher://" + here, notURL}, {"ftp", "ftp://" + here, notURL},
			{"Unix socket", "unix:///var/run/docker.sock", noSuch}, {"two schemes", "http://https://" + here, notURL},
			{"backslash", leader + `\` + here, notURL}, {"blank", leader + " " + here, notURL},
			{"zone", "[fe80::1%25lo]:" + port, notURL},
		} {
			t.Run("import: "+test.name, func(t *testing.T) {
				t.Parallel()
				failed(t, closed.importFrom(t, test.host), test.words)
			})
		}
	})
	t.Run("no command was run", func(t *testing.T) {
		if _, err := os.Stat("/tmp/acrux-pwned"); !os.IsNotExist(err) {
			t.Errorf("the file is there: %v", err)
		}
	})
	t.Run("nobody came", func(t *testing.T) {
		if seen := c.visits(""); len(seen) > 0 {
			t.Errorf("the server has connected: %q", seen)
		}
	})
}

// It is the address that is connected to which is judged, and not one that a name meant
// before.
func TestNamesThatTurn(t *testing.T) {
	closed := strict(t)
	c, port := newCanary(t)
	t.Run("builds", func(t *testing.T) {
		for i := range 6 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				text := closed.build(t, "http://"+turning+":"+port+"/x.tar.gz")
				if !strings.HasPrefix(text, "Succeeded") && !strings.Contains(text, byPolicy) {
					t.Errorf("got %s", text)
				}
			})
		}
	})
	t.Run("control: it came where it may", func(t *testing.T) {
		if len(c.visits("connection to 127.0.0.2:")) == 0 {
			t.Errorf("seen: %q", c.visits(""))
		}
	})
	t.Run("and nowhere else", func(t *testing.T) {
		if seen := c.visits("connection to 127.0.0.1:"); len(seen) > 0 {
			t.Errorf("seen: %q", seen)
		}
	})
}

// The other places where a URL can be put.
func TestOtherURLs(t *testing.T) {
	closed := strict(t)
	c, port := newCanary(t)
	here := "127.0.0.1:" + port
	reg := closed.registry(group1, first)
	context := func(url string) string {
		return `{"location":"eastus","properties":{"platform":{"os":"linux"},"step":{"type":"Docker",` +
			`"dockerFilePath":"Dockerfile","imageNames":["x:1"],"contextPath":"` + url + `"}}}`
	}
	run := func(t *testing.T, override string) string {
		a := closed.arm(t, closed.admin, "POST", reg+"/scheduleRun",
			`{"type":"TaskRunRequest","taskId":"`+reg+`/tasks/context1"`+override+`}`).ok(t)
		state, log := closed.finished(t, first, a.text("properties", "runId"))
		return state.text("properties", "status") + " " + log
	}
	closed.arm(t, closed.admin, "PUT", reg+"/tasks/context1", context("http://"+here+"/x.tar.gz")).ok(t)
	t.Run("context of a task", func(t *testing.T) { failed(t, run(t, ""), byPolicy) })
	t.Run("context of a task, overridden", func(t *testing.T) {
		failed(t, run(t, `,"overrideTaskStepProperties":{"contextPath":"http://`+here+`/y.git#main"}`), byPolicy)
	})
	t.Run("context of a build step", func(t *testing.T) {
		a := closed.schedule(t, closed.admin, first,
			"version: v1.1.0\nsteps:\n- build: -t $Registry/x:1 http://"+here+"/x.git#main\n")
		state, log := closed.finished(t, first, a.text("properties", "runId"))
		failed(t, state.text("properties", "status")+" "+log, byPolicy)
	})
	t.Run("image of a step", func(t *testing.T) {
		a := closed.schedule(t, closed.admin, first, "version: v1.1.0\nsteps:\n- cmd: "+here+"/a/b:1 true\n")
		state, log := closed.finished(t, first, a.text("properties", "runId"))
		failed(t, state.text("properties", "status")+" "+log, byPolicy)
	})
	with := func(trigger string) string {
		return strings.Replace(context("https://example.com/x.git"), `"platform"`,
			`"trigger":{`+trigger+`},"platform"`, 1)
	}
	t.Run("source trigger", func(t *testing.T) {
		closed.arm(t, closed.admin, "PUT", reg+"/tasks/trigger1",
			with(`"sourceTriggers":[{"name":"t","sourceTriggerEvents":["commit"],`+
				`"sourceRepository":{"sourceControlType":"Github",`+
				`"repositoryUrl":"http://`+here+`/x.git"}}]`)).refused(t, refusal{400, "InvalidParameterValue", "looks at"})
	})
	t.Run("endpoint of a base image trigger", func(t *testing.T) {
		closed.arm(t, closed.admin, "PUT", reg+"/tasks/trigger1",
			with(`"baseImageTrigger":{"name":"b","baseImageTriggerType":"All","updateTriggerEndpoint":"http://`+
				here+`/hook","updateTriggerPayloadType":"Token"}`)).refused(t, refusal{501, "NotImplemented", ""})
	})
	t.Run("webhook", func(t *testing.T) {
		closed.arm(t, closed.admin, "PUT", reg+"/webhooks/hook1",
			`{"location":"eastus","properties":{"serviceUri":"http://`+here+`/hook","actions":["push"]}}`).
			refused(t, refusal{501, "NotImplemented", ""})
	})
	for name, issuer := range map[string]string{"loopback": "https://" + here,
		"metadata": "https://" + metadata + ":" + port, "name of loopback": "https://loopback.example:" + port,
		"mapped": "https://[::ffff:127.0.0.1]:" + port} {
		t.Run("keys of an issuer: "+name, func(t *testing.T) {
			p := closed.newPerson(t, "issuer "+name)
			closed.graph(t, closed.admin, "POST", "/applications/"+p.appID+"/federatedIdentityCredentials",
				`{"name":"evil","issuer":"`+issuer+`","subject":"s","audiences":["api://AzureADTokenExchange"]}`).ok(t)
			f := newForger(t, closed)
			now := time.Now().Unix()
			token := signES256(unsigned(fields{"alg": "ES256", "kid": "k"},
				fields{"iss": issuer, "sub": "s", "aud": "api://AzureADTokenExchange", "exp": now + 600,
					"iat": now, "nbf": now}), f.own)
			closed.form(t, closed.tokenURL(), "grant_type", "client_credentials", "client_id", p.clientID,
				"scope", url.QueryEscape("x")+"/.default",
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
				"client_assertion", token).
				refused(t, refusal{401, "invalid_client", "AADSTS50166"})
		})
	}
	t.Run("nobody came", func(t *testing.T) {
		if seen := c.visits(""); len(seen) > 0 {
			t.Errorf("the server has connected: %q", seen)
		}
	})
	t.Run("control: keys of an issuer", func(t *testing.T) {
		open := shared(t)
		p := open.newPerson(t, "issuer open")
		c, port := newCanary(t)
		issuer := "https://127.0.0.1:" + port
		open.graph(t, open.admin, "POST", "/applications/"+p.appID+"/federatedIdentityCredentials",
			`{"name":"evil","issuer":"`+issuer+`","subject":"s","audiences":["api://AzureADTokenExchange"]}`).ok(t)
		f := newForger(t, open)
		now := time.Now().Unix()
		token := signES256(unsigned(fields{"alg": "ES256", "kid": "k"},
			fields{"iss": issuer, "sub": "s", "aud": "api://AzureADTokenExchange", "exp": now + 600, "iat": now,
				"nbf": now}), f.own)
		open.form(t, open.tokenURL(), "grant_type", "client_credentials", "client_id", p.clientID, "scope",
			"x/.default",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion",
			token).refused(t, refusal{401, "invalid_client", "AADSTS50166"})
		if len(c.visits("connection")) == 0 {
			t.Error("nobody came")
		}
	})
}

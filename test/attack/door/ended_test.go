package door_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

// givesAway tells what a step was given, with letters turned so that no mask fits.
const givesAway = `version: v1.1.0
steps:
- cmd: |
    $Registry/base:1 sh -c '
      printf "GET /metadata/identity/oauth2/token?resource=AUDIENCE HTTP/1.0\r\nMetadata: true\r\n\r\n" |
        nc -w 5 169.254.169.254 80 | sed -n "s/.*access_token\":\"\([^\"]*\)\".*/\1/p" > /tmp/token
      sed "s/.*\"auth\":\"\([^\"]*\)\".*/\1/" /acb/home/.docker/config.json > /tmp/login
      echo "token: $(tr A-Za-z N-ZA-Mn-za-m < /tmp/token)."
      echo "login: $(tr A-Za-z N-ZA-Mn-za-m < /tmp/login)."
      sleep 600'
`

// turned turns the letters back.
func turned(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, text)
}

// What a step was given, and what somebody makes of it elsewhere, ends with its run.
func TestEndedRuns(t *testing.T) {
	w := shared(t)
	reg := w.registry(group1, first)
	w.arm(t, w.admin, "POST", reg+"/importImage",
		`{"source":{"registryUri":"docker.io","sourceImage":"library/node:15-alpine"},"targetTags":["base:1"],`+
			`"mode":"Force"}`).ok(t)
	eventually(t, "the base image", func() bool {
		return w.v2(t, first, basic(refresher, w.admin.refresh(t, first)), "GET", "/v2/base/manifests/1",
			"").status == 200
	})
	file := strings.Replace(givesAway, "AUDIENCE", w.Published.URL("management"), 1)
	made := w.arm(t, w.admin, "PUT", reg+"/tasks/givesaway",
		`{"location":"eastus","identity":{"type":"SystemAssigned"},"properties":{"platform":{"os":"linux"},`+
			`"step":{"type":"EncodedTask","encodedTaskContent":"`+
			base64.StdEncoding.EncodeToString([]byte(file))+`"}}}`).ok(t)
	w.assign(t, made.text("identity", "principalId"), "Contributor", reg)
	run := w.arm(t, w.admin, "POST", reg+"/scheduleRun",
		`{"type":"TaskRunRequest","taskId":"`+reg+`/tasks/givesaway"}`).ok(t).text("properties", "runId")
	link := w.arm(t, w.admin, "POST", reg+"/runs/"+run+"/listLogSasUrl", "").ok(t).text("logLink")
	pattern := regexp.MustCompile(`token: (\S+)\.\s+login: (\S+)\.`)
	var found []string
	eventually(t, "what the step was given", func() bool {
		found = pattern.FindStringSubmatch(w.do(t, ask{"GET", link, nil, ""}).body)
		return found != nil
	})
	token, login := turned(found[1]), "Basic "+turned(found[2])
	pair, err := base64.StdEncoding.DecodeString(turned(found[2]))
	must(t, err)
	user, password, _ := strings.Cut(string(pair), ":")
	access := bearer(w.askPassword(t, first, scoped{name: user, password: password},
		"repository:app:pull").ok(t).text("access_token"))
	exchanged := w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "access_token", "service",
		w.login(first), "access_token", token).ok(t).text("refresh_token")
	identity := bearer(w.accessFor(t, first, exchanged, "repository:app:pull"))
	pull := func(authorization string) func(t *testing.T) answer {
		return func(t *testing.T) answer { return w.v2(t, first, authorization, "GET", "/v2/app/manifests/1", "") }
	}
	over := refusal{403, "DENIED", "is over"}
	t.Run("at another registry", func(t *testing.T) {
		w.v2(t, second, login, "GET", "/v2/app/manifests/1", "").refused(t, notRefresh)
	})
	removal(t, "run canceled", []held{
		{"login of the run", pull(login), over}, {"access token of the run", pull(access), over},
		{"login for an access token", func(t *testing.T) answer {
			return w.askPassword(t, first, scoped{name: user, password: password}, "repository:app:pull")
		}, refusal{401, "UNAUTHORIZED", "the run of the token is over"}},
		{"identity token at management", func(t *testing.T) answer {
			return w.armAs(t, token, "GET", reg, "")
		}, refusal{401, "ExpiredAuthenticationToken", "expired"}},
		{"identity token for a refresh token", func(t *testing.T) answer {
			return w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "access_token", "service",
				w.login(first), "access_token", token)
		}, refusal{401, "UNAUTHORIZED", "is over"}},
		{"refresh token of the identity", pull(basic(refresher, exchanged)), refusal{401, "UNAUTHORIZED", "is over"}},
		{"access token of the identity", pull(identity), notRegistry},
	}, func(t *testing.T) {
		w.arm(t, w.admin, "POST", reg+"/runs/"+run+"/cancel", "").ok(t)
		w.finished(t, first, run)
	})
}

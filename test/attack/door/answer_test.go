package door_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// answer is an answer with its body read.
type answer struct {
	request string // method and URL, for messages
	status  int
	header  http.Header
	body    string
}

// ask is a request to any host.
type ask struct {
	method, url string
	header      []string // names and values, by turns; repeated ones are sent repeatedly
	body        string
}

// do sends a request that must be answered.
func (w *world) do(t *testing.T, a ask) answer {
	t.Helper()
	return send(t, w.client, a)
}

func send(t *testing.T, client *http.Client, a ask) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), a.method, a.url, strings.NewReader(a.body))
	must(t, err)
	for i := 0; i+1 < len(a.header); i += 2 {
		if a.header[i] == "Host" {
			req.Host = a.header[i+1]
			continue
		}
		req.Header[http.CanonicalHeaderKey(a.header[i])] = append(req.Header.Values(a.header[i]), a.header[i+1])
	}
	res, err := client.Do(req)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return answer{request: a.method + " " + a.url, status: res.StatusCode, header: res.Header, body: string(body)}
}

// form posts a form.
func (w *world) form(t *testing.T, target string, fields ...string) answer {
	t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	return w.do(t, ask{"POST", target, []string{"Content-Type", "application/x-www-form-urlencoded"}, values.Encode()})
}

// at digs in the body: at("error", "code"). What is not there is nil; "0" is the first of
// a list.
func (a answer) at(path ...string) any {
	var v any
	if json.Unmarshal([]byte(a.body), &v) != nil {
		return nil
	}
	for _, name := range path {
		if list, ok := v.([]any); ok && name == "0" && len(list) > 0 {
			v = list[0]
			continue
		}
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

func (a answer) text(path ...string) string {
	text, _ := a.at(path...).(string)
	return text
}

// code is the code of an error, in the form that the host has.
func (a answer) code() string {
	if code := a.header.Get("x-ms-error-code"); code != "" {
		return code
	}
	for _, path := range [][]string{{"errors", "0", "code"}, {"error", "code"}, {"error"}} {
		if code := a.text(path...); code != "" {
			return code
		}
	}
	return ""
}

// ok fails the test unless the request succeeded.
func (a answer) ok(t *testing.T) answer {
	t.Helper()
	if a.status < 200 || a.status >= 300 {
		t.Fatalf("%s was refused: %d %.500s", a.request, a.status, a.body)
	}
	return a
}

// refusal is what an attack is answered.
type refusal struct {
	status int
	code   string
	words  string // stand in the body; "" is any
}

// refused fails the test unless the request was refused so.
func (a answer) refused(t *testing.T, want refusal) {
	t.Helper()
	if a.status != want.status || a.code() != want.code || !strings.Contains(a.body, want.words) {
		t.Errorf("%s: want %d %s %q, got %d %s: %.700s", a.request, want.status, want.code, want.words, a.status,
			a.code(), a.body)
	}
}

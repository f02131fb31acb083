package servertest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// recorded is a request of a client and what it got; test/compat records them. What is of
// one installation stands in braces.
type recorded struct {
	Command, Method, URL, Body, Status string
	Answer                             json.RawMessage
}

func recordings(t *testing.T, file string) []recorded {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); {
		var r recorded
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// What clients have sent once is answered as it was then: with the same status, and with
// answers that have the members they had; new ones break nobody. IDs that the installation makes are others.
func TestRecordedRequests(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no recordings", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			w := servertest.New(t)
			replay := player{World: w, now: map[string]string{}}
			here := strings.NewReplacer("{D}", w.Suffix, "{S}", servertest.Subscription, "{T}", servertest.Tenant)
			for i, r := range recordings(t, file) {
				url, body := replay.current(here.Replace(r.URL)), replay.current(here.Replace(r.Body))
				token := w.TokenFor(w.Admin, "management")
				if strings.HasPrefix(r.URL, "https://graph.") {
					token = w.TokenFor(w.Admin, "graph")
				}
				got := w.Do(servertest.Request{Method: r.Method, URL: url, Body: body, Header: map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
				if fmt.Sprint(got.Status) != r.Status {
					t.Fatalf("request %d of az %s\n%s %s\n%s\nanswers %d, not %s: %s", i, r.Command, r.Method, url, body, got.Status, r.Status, got.Body)
				}
				if len(r.Answer) == 0 {
					continue
				}
				var then, now any
				if err := json.Unmarshal([]byte(here.Replace(string(r.Answer))), &then); err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal([]byte(got.Body), &now); err != nil {
					t.Fatalf("az %s: %s %s: %v in %s", r.Command, r.Method, url, err, got.Body)
				}
				if diff := replay.compare("", then, now); diff != "" {
					t.Errorf("az %s: %s %s: %s", r.Command, r.Method, url, diff)
				}
			}
		})
	}
}

// player knows what became of what was recorded.
type player struct {
	*servertest.World
	now map[string]string // IDs made now, by those made then
}

// made are the forms of IDs that an installation makes.
var made = regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\bruns/[a-z]{2}[0-9a-z]+\b`)

// current puts the IDs of now in the place of those of then.
func (p player) current(text string) string {
	return made.ReplaceAllStringFunc(text, func(id string) string {
		if now, ok := p.now[id]; ok {
			return now
		}
		return id
	})
}

// compare says how answers differ in their members, and learns IDs from them.
func (p player) compare(at string, then, now any) string {
	switch then := then.(type) {
	case map[string]any:
		object, ok := now.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, not an object", at, now)
		}
		for _, name := range p.members(then) {
			if _, there := object[name]; !there {
				return fmt.Sprintf("%s lacks the member %s", at, name)
			}
		}
		for name, value := range then {
			if diff := p.compare(at+"."+name, value, object[p.current(name)]); diff != "" {
				return diff
			}
		}
	case []any:
		list, ok := now.([]any)
		if !ok {
			return fmt.Sprintf("%s is %v, not a list", at, now)
		}
		for i, entry := range then {
			same := p.find(list, entry, i)
			if text := fmt.Sprint(entry); same == nil && strings.Contains(text, "recorded") {
				return fmt.Sprintf("%s lacks %s", at, text)
			}
			if same == nil {
				continue // the installation itself has others
			}
			if diff := p.compare(fmt.Sprintf("%s[%d]", at, i), entry, same); diff != "" {
				return diff
			}
		}
	case string:
		text, ok := now.(string)
		if !ok && now != nil {
			return fmt.Sprintf("%s is %v, not a text", at, now)
		}
		p.learn(then, text)
	}
	return ""
}

// find finds an entry in a list: by its ID if it has one, else by its place.
func (p player) find(list []any, entry any, place int) any {
	object, _ := entry.(map[string]any)
	id, named := object["id"].(string)
	for i, other := range list {
		have, _ := other.(map[string]any)
		if named && have["id"] == p.current(id) || !named && i == place {
			return other
		}
	}
	return nil
}

func (p player) members(object map[string]any) []string {
	var names []string
	for name := range maps.Keys(object) {
		names = append(names, p.current(name))
	}
	slices.Sort(names)
	return names
}

// learn pairs the IDs of two texts that have equally many.
func (p player) learn(then, now string) {
	a, b := made.FindAllString(then, -1), made.FindAllString(now, -1)
	for i := range a {
		if len(a) == len(b) && a[i] != b[i] {
			p.now[a[i]] = b[i]
		}
	}
}

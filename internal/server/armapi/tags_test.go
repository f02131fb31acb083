package armapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
)

const tagsOf = "/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"

// Tags of groups, registries and tasks are replaced, merged and taken away apart from
// the rest, which stays as it is.
func TestTags(t *testing.T) {
	w := servertest.New(t)
	task := w.Registry.Child("tasks", "HelloWorld").String()
	w.ARMOK(w.Admin, http.MethodPut, w.Group.String()+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/MyId", `{"location":"eastus"}`)
	w.ARMOK(w.Admin, http.MethodPut, task, short.Replace(taskBody))
	for _, scope := range []string{w.Group.String(), w.Registry.String(), task} {
		before := settled(w.ARMOK(w.Admin, http.MethodGet, scope, ""))
		for _, step := range []struct {
			method, body string
			want         map[string]any
		}{
			{http.MethodGet, "", map[string]any{}},
			{http.MethodPut, `{"properties":{"tags":{"a":"1","B":"2"}}}`, map[string]any{"a": "1", "B": "2"}},
			{http.MethodPut, `{"properties":{"tags":{"a":"1"}}}`, map[string]any{"a": "1"}},
			{http.MethodPatch, `{"operation":"Merge","properties":{"tags":{"A":"3","c":"4"}}}`, map[string]any{"A": "3", "c": "4"}},
			{http.MethodPatch, `{"operation":"delete","properties":{"tags":{"a":"other","c":""}}}`, map[string]any{"A": "3"}},
			{http.MethodPatch, `{"operation":"Replace","properties":{"tags":{"d":"5"}}}`, map[string]any{"d": "5"}},
			{http.MethodGet, "", map[string]any{"d": "5"}},
			{http.MethodDelete, "", map[string]any{}},
		} {
			a := w.ARM(w.Admin, step.method, strings.ToLower(scope)+tagsOf, step.body)
			if diff := cmp.Diff(step.want, a.At("properties", "tags")); a.Status != 200 || diff != "" {
				t.Errorf("%s %s %s: %d %s\n%s", step.method, scope, step.body, a.Status, a.Body, diff)
			}
			if a.At("id") != scope+"/providers/Microsoft.Resources/tags/default" {
				t.Errorf("the id is %v", a.At("id"))
			}
		}
		after := settled(w.ARMOK(w.Admin, http.MethodGet, scope, ""))
		if diff := cmp.Diff(before, after, ignoring("tags")); diff != "" {
			t.Errorf("%s has changed: %s", scope, diff)
		}
	}
}

func ignoring(member string) cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		index, ok := p.Last().(cmp.MapIndex)
		return ok && index.Key().String() == member
	}, cmp.Ignore())
}

func TestBadTags(t *testing.T) {
	w := servertest.New(t)
	many := make([]string, 51)
	for i := range many {
		many[i] = fmt.Sprintf(`"t%d":"x"`, i)
	}
	at := w.Registry.String() + tagsOf
	for _, test := range []struct {
		name, method, path, body, code string
		status                         int
	}{
		{"an unknown operation", http.MethodPatch, at, `{"operation":"Forget","properties":{"tags":{"a":"b"}}}`, "InvalidRequestContent", 400},
		{"no operation", http.MethodPatch, at, `{"properties":{"tags":{"a":"b"}}}`, "", 200},
		{"no body", http.MethodPut, at, ``, "InvalidRequestContent", 400},
		{"a list", http.MethodPut, at, `{"properties":{"tags":["a"]}}`, "InvalidRequestContent", 400},
		{"too many", http.MethodPut, at, `{"properties":{"tags":{` + strings.Join(many, ",") + `}}}`, "TooManyTags", 400},
		{"too many of a registry", http.MethodPatch, w.Registry.String(), `{"tags":{` + strings.Join(many, ",") + `}}`, "TooManyTags", 400},
		{"a name with a slash", http.MethodPut, at, `{"properties":{"tags":{"a/b":""}}}`, "InvalidTagNameCharacters", 400},
		{"no name", http.MethodPut, at, `{"properties":{"tags":{"":""}}}`, "InvalidTagNameCharacters", 400},
		{"a long value", http.MethodPut, at, `{"properties":{"tags":{"a":"` + strings.Repeat("x", 257) + `"}}}`, "TagValueTooLong", 400},
		{"a registry missing", http.MethodPut, w.Registry.String() + "x" + tagsOf, `{"properties":{"tags":{"a":"b"}}}`, "ResourceNotFound", 404},
		{"a registry missing", http.MethodGet, w.Registry.String() + "x" + tagsOf, ``, "ResourceNotFound", 404},
		{"a group missing", http.MethodGet, w.Group.String() + "x" + tagsOf, ``, "ResourceGroupNotFound", 404},
		{"a subscription", http.MethodPut, arm.SubscriptionID(servertest.Subscription).String() + tagsOf, `{"properties":{"tags":{"a":"b"}}}`, "NotImplemented", 501},
		{"a run", http.MethodPut, w.Registry.String() + "/runs/cf1" + tagsOf, `{"properties":{"tags":{"a":"b"}}}`, "NotImplemented", 501},
		{"another subscription", http.MethodGet, "/subscriptions/11111111-2222-3333-4444-555555555555" + tagsOf, ``, "SubscriptionNotFound", 404},
		{"an action", http.MethodPost, at, `{}`, "MethodNotAllowed", 405},
		{"a tag that nothing has", http.MethodPut, "/subscriptions/" + servertest.Subscription + "/tagNames/a?api-version=2021-04-01", ``, "NotImplemented", 501},
		{"a value that nothing has", http.MethodPut, "/subscriptions/" + servertest.Subscription + "/tagNames/a/tagValues/b?api-version=2021-04-01", ``, "NotImplemented", 501},
	} {
		if a := w.ARM(w.Admin, test.method, test.path, test.body); a.Status != test.status || test.code != "" && a.At("error", "code") != test.code {
			t.Errorf("%s: want %d %s, got %d %s", test.name, test.status, test.code, a.Status, a.Body)
		}
	}
}

// Which tags there are, and what has them.
func TestFindingByTag(t *testing.T) {
	w := servertest.New(t)
	w.ARMOK(w.Admin, http.MethodPut, w.Group.String()+tagsOf, `{"properties":{"tags":{"room":"1"}}}`)
	w.ARMOK(w.Admin, http.MethodPut, w.Registry.String()+tagsOf, `{"properties":{"tags":{"Room":"2"}}}`)
	names := w.ARMOK(w.Admin, http.MethodGet, "/subscriptions/"+servertest.Subscription+"/tagNames?api-version=2021-04-01", "")
	for _, want := range []string{`"tagName":"room"`, `"value":2`, `"tagValue":"1"`, `"tagValue":"2"`} {
		if !strings.Contains(names.Body, want) {
			t.Errorf("%s is not in %s", want, names.Body)
		}
	}
	resources, groups := "/subscriptions/"+servertest.Subscription+"/resources?api-version=2021-04-01&$filter=", "/subscriptions/"+servertest.Subscription+"/resourcegroups?api-version=2021-04-01&$filter="
	for query, want := range map[string]int{
		resources + "tagName eq 'room'": 1, resources + "tagname eq 'ROOM' AND tagValue eq '2'": 1, resources + "tagName eq 'room' and tagValue eq '1'": 0,
		resources + "name eq 'myregistry' and location eq 'eastus'": 1, resources + "name eq 'x and y'": 0, resources + "name eq 'it''s'": 0,
		resources + "resourceType eq 'microsoft.containerregistry/registries' and name eq 'MyRegistry'": 1, resources + "resourceGroup eq 'other'": 0,
		groups + "tagName eq 'room'": 1, groups + "tagName eq 'room' and tagValue eq '2'": 0, groups: 1,
		resources + "substringof('my', name)": -1, resources + "name eq 'a' or name eq 'b'": -1, resources + "identity/principalId eq 'x'": -1,
		resources + "name ne 'a'": -1, groups + "name eq 'a'": -1,
	} {
		a := w.ARM(w.Admin, http.MethodGet, strings.ReplaceAll(query, " ", "%20"), "")
		all, _ := a.At("value").([]any)
		if want < 0 && (a.Status != 400 || a.At("error", "code") != "InvalidFilterInQueryString") || want >= 0 && (a.Status != 200 || len(all) != want) {
			t.Errorf("%s: want %d, got %d %s", query, want, a.Status, a.Body)
		}
	}
}

// An identity knows what has it, and tells of it what the caller may read.
func TestAssociatedResources(t *testing.T) {
	w := servertest.New(t)
	id := w.Group.String() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/MyId"
	w.ARMOK(w.Admin, http.MethodPut, id, `{"location":"eastus"}`)
	list := func(p servertest.Person) string {
		return w.ARMOK(p, http.MethodPost, id+"/listAssociatedResources", "").Body
	}
	if got := list(w.Admin); got != `{"totalCount":0,"value":[]}` {
		t.Errorf("nothing has it: %s", got)
	}
	w.ARMOK(w.Admin, http.MethodPatch, w.Registry.String(), `{"identity":{"type":"UserAssigned","userAssignedIdentities":{"`+strings.ToLower(id)+`":{}}}}`)
	w.ARMOK(w.Admin, http.MethodPut, w.Registry.Child("tasks", "HelloWorld").String(), short.Replace(taskBody))
	if got := list(w.Admin); !strings.Contains(got, `"totalCount":2`) || !strings.Contains(got, w.Registry.String()+`/tasks/HelloWorld"`) {
		t.Errorf("two have it: %s", got)
	}
	parsed, err := arm.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(w.Person("keeper", "Contributor", parsed)); got != `{"totalCount":0,"value":[]}` {
		t.Errorf("who may read none of them sees %s", got)
	}
}

// Listings have some members on request alone.
func TestExpandedResources(t *testing.T) {
	w := servertest.New(t)
	w.ARMOK(w.Admin, http.MethodPut, w.Group.String()+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/MyId", `{"location":"eastus"}`)
	path := "/subscriptions/" + servertest.Subscription + "/resources?api-version=2021-04-01"
	for query, want := range map[string]bool{"": false, "&$expand=createdTime,%20changedTime,provisioningState": true, "&$expand=nothing": false} {
		all := w.ARMOK(w.Admin, http.MethodGet, path+query, "").At("value").([]any)
		if len(all) != 2 {
			t.Fatalf("%d resources", len(all))
		}
		for _, value := range all {
			for _, member := range []string{"createdTime", "changedTime", "provisioningState"} {
				if got, ok := value.(map[string]any)[member]; ok != want || want && got == "" {
					t.Errorf("%s: %s is %v", query, member, got)
				}
			}
		}
	}
}

package armapi_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
)

// copies writes n documents like one that there is, under names of their own, and returns
// their IDs.
func copies(t *testing.T, w *servertest.World, like arm.ID, n int, name func(i int) string) []arm.ID {
	t.Helper()
	var all []arm.ID
	must(t, w.Groups.Store.InTx(t.Context(), func(ctx context.Context) error {
		doc, err := w.Groups.Store.Get(ctx, like)
		for i := 0; i < n && err == nil; i++ {
			doc.ID = like
			doc.ID.Names = append(slices.Clone(like.Names[:len(like.Names)-1]), name(i))
			all = append(all, doc.ID)
			err = w.Groups.Store.Put(ctx, doc)
		}
		return err
	}))
	return all
}

// pages follows a list from page to page and returns its IDs, page by page.
func pages(t *testing.T, w *servertest.World, who servertest.Person, path string) [][]string {
	t.Helper()
	var all [][]string
	for path != "" {
		a := w.ARMOK(who, "GET", path, "")
		ids := []string{}
		for _, value := range a.At("value").([]any) {
			id, _ := value.(map[string]any)["id"].(string)
			ids = append(ids, id)
		}
		all = append(all, ids)
		next, _ := a.At("nextLink").(string)
		if next != "" && !strings.HasPrefix(next, w.URL("management")+"/") {
			t.Fatalf("the link to the next page is %q", next)
		}
		path = strings.TrimPrefix(next, w.URL("management"))
	}
	return all
}

func lengths(pages [][]string) (all []int) {
	for _, page := range pages {
		all = append(all, len(page))
	}
	return all
}

// once fails the test unless the pages have each of the IDs once, and nothing else.
func once(t *testing.T, pages [][]string, ids []arm.ID) {
	t.Helper()
	var want []string
	for _, id := range ids {
		want = append(want, id.String())
	}
	got := slices.Sorted(slices.Values(slices.Concat(pages...)))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("the pages have %d entries, there are %d: %.300v", len(got), len(want), got)
	}
}

const query = "?api-version=" + servertest.Version

// manyTasks makes n tasks.
func manyTasks(t *testing.T, w *servertest.World, n int) []arm.ID {
	t.Helper()
	first := w.Registry.Child("tasks", "first")
	w.ARMOK(w.Admin, "PUT", first.String(), `{"properties":{"step":{"type":"EncodedTask","encodedTaskContent":"c3RlcHM6IFtdCg=="}}}`)
	return append(copies(t, w, first, n-1, func(i int) string { return fmt.Sprintf("task%05d", i) }), first)
}

// A list has pages, each entry is on one of them, and $top is how many there are in all.
func TestPages(t *testing.T) {
	w := servertest.New(t)
	tasks := manyTasks(t, w, 1100)
	path := w.Registry.String() + "/tasks" + query
	all := pages(t, w, w.Admin, path)
	if !slices.Equal(lengths(all), []int{250, 250, 250, 250, 100}) {
		t.Errorf("pages of %v", lengths(all))
	}
	once(t, all, tasks)
	for top, want := range map[string][]int{"3": {3}, "250": {250}, "1000": {1000}, "1050": {1000, 50}, "5000": {1000, 100}} {
		if got := lengths(pages(t, w, w.Admin, path+"&$top="+top)); !slices.Equal(got, want) {
			t.Errorf("$top=%s has pages of %v, want %v", top, got, want)
		}
	}
	for _, top := range []string{"0", "-1", "x", "1.5"} {
		if a := w.ARM(w.Admin, "GET", path+"&$top="+top, ""); a.Status != 400 || a.At("error", "target") != "$top" {
			t.Errorf("$top=%s: %d %s", top, a.Status, a.Body)
		}
	}
}

// A token is one of the list that it was made for, and of no other.
func TestSkipTokens(t *testing.T) {
	w := servertest.New(t)
	manyTasks(t, w, 260)
	tasks := w.Registry.String() + "/tasks" + query
	next, err := url.Parse(w.ARMOK(w.Admin, "GET", tasks, "").At("nextLink").(string))
	must(t, err)
	token := next.Query().Get("$skipToken")
	for _, path := range []string{
		tasks + "&$skipToken=x", tasks + "&$skipToken=" + token[:8], tasks + "&$skipToken=" + token[1:], tasks + "&$skiptoken=%00", tasks + "&$skipToken=" + token + "&$filter=a",
		w.Registry.String() + "/runs" + query + "&$skipToken=" + token, w.NewRegistry("Another").String() + "/tasks" + query + "&$skipToken=" + token,
		"/subscriptions/" + servertest.Subscription + "/resources" + query + "&$skipToken=" + token, w.Group.String() + "/providers/Microsoft.Authorization/roleAssignments" + query + "&$skipToken=" + token,
	} {
		a := w.ARM(w.Admin, "GET", path, "")
		if a.Status != 400 || a.At("error", "code") != "InvalidSkipToken" || a.At("error", "target") != "$skipToken" {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	for _, path := range []string{tasks + "&$skiptoken=" + token, strings.Replace(strings.ToUpper(w.Registry.String()), "/", "//", 1) + "/TASKS" + query + "&$skipToken=" + token} {
		if a := w.ARM(w.Admin, "GET", path, ""); a.Status != 200 || len(a.At("value").([]any)) != 10 {
			t.Errorf("%s: %d %.200s", path, a.Status, a.Body)
		}
	}
}

// Each page is asked for anew: a right that was taken away between two of them is gone.
func TestRightsOfPages(t *testing.T) {
	w := servertest.New(t)
	manyTasks(t, w, 260)
	reader := w.Person("reader", "Reader", w.Registry)
	next := strings.TrimPrefix(w.ARMOK(reader, "GET", w.Registry.String()+"/tasks"+query, "").At("nextLink").(string), w.URL("management"))
	if a := w.ARM(reader, "GET", next, ""); a.Status != 200 {
		t.Fatal(a.Status, a.Body)
	}
	stranger := w.Person("stranger", "Reader", w.NewRegistry("Another"))
	if a := w.ARM(stranger, "GET", next, ""); a.Status != 403 {
		t.Errorf("a stranger reads the second page: %d %s", a.Status, a.Body)
	}
	given, err := w.Checker.Store.Assignments(t.Context(), rbac.Everywhere(reader.ObjectID))
	must(t, err)
	must(t, w.Checker.Store.DeleteAssignment(t.Context(), given[0].Scope, given[0].Name))
	if a := w.ARM(reader, "GET", next, ""); a.Status != 403 {
		t.Errorf("without the right: %d %s", a.Status, a.Body)
	}
}

// Who has rights at some resources sees those, on as many pages as they take.
func TestPagesOfSome(t *testing.T) {
	w := servertest.New(t)
	all := copies(t, w, w.Registry, 600, func(i int) string { return fmt.Sprintf("reg%05d", i) })
	some := w.Person("some", "Reader", all[0])
	mine := all[:1]
	must(t, w.Groups.Store.InTx(t.Context(), func(ctx context.Context) error {
		for i := 1; i < len(all); i += 2 {
			if _, err := w.Assign(ctx, some.ObjectID, "Reader", all[i]); err != nil {
				return err
			}
			mine = append(mine, all[i])
		}
		return nil
	}))
	subscription := "/subscriptions/" + servertest.Subscription
	for _, path := range []string{subscription + "/providers/Microsoft.ContainerRegistry/registries", w.Group.String() + "/providers/Microsoft.ContainerRegistry/registries",
		subscription + "/resources", subscription + "/resources?$filter=location%20eq%20'EASTUS'", w.Group.String() + "/resources?$filter=resourceType%20eq%20'microsoft.containerregistry/REGISTRIES'"} {
		path, filter, _ := strings.Cut(path, "?")
		got := pages(t, w, some, path+query+"&"+filter)
		if !slices.Equal(lengths(got), []int{250, 51}) {
			t.Errorf("%s has pages of %v", path, lengths(got))
		}
		once(t, got, mine)
	}
	if a := w.ARM(some, "GET", w.Group.String()+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities", ""); a.Status != 403 {
		t.Errorf("identities, of which there are none for him: %d %s", a.Status, a.Body)
	}
}

// The list of all resources goes from type to type, and a filter takes what it names.
func TestPagesOfResources(t *testing.T) {
	w := servertest.New(t)
	identity := w.Group.In(arm.NewKind("Microsoft.ManagedIdentity/userAssignedIdentities"), "first")
	w.ARMOK(w.Admin, "PUT", identity.String(), `{"location":"eastus","tags":{"Team":"blue"}}`)
	all := append(copies(t, w, w.Registry, 300, func(i int) string { return fmt.Sprintf("reg%05d", i) }), w.Registry)
	named := append(copies(t, w, identity, 300, func(i int) string { return fmt.Sprintf("id%05d", i) }), identity)
	manyTasks(t, w, 30)
	path := "/subscriptions/" + servertest.Subscription + "/resources" + query
	once(t, pages(t, w, w.Admin, path), append(all, named...))
	for filter, want := range map[string][]arm.ID{
		"tagName eq 'TEAM'":                          named,
		"tagName eq 'team' and tagValue eq 'blue'":   named,
		"tagName eq 'team' and tagValue eq 'Blue'":   nil,
		"name eq 'ID00007' and location eq 'eastus'": {named[7]},
		"name eq 'first'":                            {identity},
		"name eq 'id00007' and resourceType eq 'Microsoft.ContainerRegistry/registries'": nil,
		"resourceType eq 'Microsoft.ContainerRegistry/registries/tasks'":                 nil,
		"location eq 'westus'":         nil,
		"resourceGroup eq 'MYGROUP'":   append(all, named...),
		"resourceGroup eq 'elsewhere'": nil,
	} {
		once(t, pages(t, w, w.Admin, path+"&$filter="+url.PathEscape(filter)), want)
	}
	if a := w.ARM(w.Admin, "GET", path+"&$filter=tagValue%20eq%20'x'", ""); a.Status != 400 {
		t.Errorf("a value without a name: %d %s", a.Status, a.Body)
	}
}

// Assignments have pages, also those of one principal, and none is a page, too.
func TestPagesOfAssignments(t *testing.T) {
	w := servertest.New(t)
	of := w.Person("of", "", arm.ID{})
	var some []arm.ID
	must(t, w.Groups.Store.InTx(t.Context(), func(ctx context.Context) error {
		for i := range 600 {
			a := rbac.Assignment{Name: fmt.Sprintf("00000000-0000-0000-0000-%012d", i), Scope: w.Registry, PrincipalID: of.ObjectID, RoleID: fmt.Sprint(i), Created: time.Now()}
			if i%2 == 0 {
				a.Scope = w.Group
			}
			if err := w.Checker.Store.PutAssignment(ctx, a); err != nil {
				return err
			}
			some = append(some, arm.ID{})
		}
		return nil
	}))
	path := w.Registry.String() + "/providers/Microsoft.Authorization/roleAssignments" + query
	for filter, want := range map[string][]int{
		"": {250, 250, 101}, // and the administrator's
		"principalId eq '" + strings.ToUpper(string(of.ObjectID)) + "'": {250, 250, 100},
		"assignedTo('" + string(of.ObjectID) + "')":                     {250, 250, 100},
		"atScope()":               {250, 250, 101},
		"principalId eq 'nobody'": {0},
		"principalId eq ''":       {0},
	} {
		got := pages(t, w, w.Admin, path+"&$filter="+url.PathEscape(filter))
		if !slices.Equal(lengths(got), want) {
			t.Errorf("%s has pages of %v, want %v", filter, lengths(got), want)
		}
		ids := slices.Sorted(slices.Values(slices.Concat(got...)))
		if len(slices.Compact(ids)) != len(slices.Concat(got...)) {
			t.Errorf("%s shows something twice", filter)
		}
	}
	if got := pages(t, w, w.Admin, w.Group.String()+"/providers/Microsoft.Authorization/roleAssignments"+query+"&$filter=atScope()"); len(slices.Concat(got...)) != len(some)/2+1 {
		t.Errorf("at the group and above are %d", len(slices.Concat(got...)))
	}
}

// What a type has that is no document stands on the pages, too.
func TestPagesOfScopeMaps(t *testing.T) {
	w := servertest.New(t)
	first := w.Registry.Child("scopeMaps", "first")
	w.ARMOK(w.Admin, "PUT", first.String(), `{"properties":{"actions":["repositories/a/content/read"]}}`)
	all := append(copies(t, w, first, 300, func(i int) string { return fmt.Sprintf("%05d", i) }), first)
	got := slices.Concat(pages(t, w, w.Admin, w.Registry.String()+"/scopeMaps"+query)...)
	system := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return !strings.Contains(id, "/_") })
	if len(got) != len(all)+len(system) || len(system) != 5 {
		t.Errorf("%d maps, of them %d of the system, and %d were made", len(got), len(system), len(all))
	}
	usages := w.ARMOK(w.Admin, "GET", w.Registry.String()+"/listUsages", "")
	for _, u := range usages.At("value").([]any) {
		if u := u.(map[string]any); u["name"] == "ScopeMaps" && u["currentValue"] != float64(len(all)) {
			t.Errorf("the usage is %v", u)
		}
	}
}

package graphapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/server/servertest"
)

const (
	principals   = "/v1.0/servicePrincipals"
	applications = "/v1.0/applications"
	users        = "/v1.0/users"
)

func filtered(path, filter string) string { return path + "?$filter=" + url.PathEscape(filter) }

// ids are those of a list, in its order.
func ids(a servertest.Answer) []string {
	list, _ := a.At("value").([]any)
	all := []string{}
	for _, v := range list {
		id, _ := v.(map[string]any)["id"].(string)
		all = append(all, id)
	}
	return all
}

func user(t *testing.T, w *servertest.World, name string) servertest.Person {
	t.Helper()
	u, err := w.Directory.NewUser(t.Context(), identity.Principal{UserName: name, DisplayName: name, Created: time.Now()}, secret.New("pass word 1"))
	if err != nil {
		t.Fatal(err)
	}
	return servertest.Person{Principal: u}
}

// What clients ask the directory for is found by any of its names.
func TestFind(t *testing.T) {
	w := servertest.New(t)
	managed, err := w.Directory.NewManaged(t.Context(), "MyId", "/x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	anna := user(t, w, "anna@acrux.test")
	app, err := w.Directory.RegistrationByClientID(t.Context(), w.Admin.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	id, it, me := string(w.Admin.ClientID), string(managed.ObjectID), string(w.Admin.ObjectID)
	byIDs := "/v1.0/directoryObjects/getByIds"
	for _, test := range []struct {
		name, method, path, body string
		want                     []string
	}{
		{"by name", "GET", filtered(principals, "servicePrincipalNames/any(c:c eq '"+id+"')"), "", []string{me}},
		{"by name, of an object", "GET", filtered(principals, "servicePrincipalNames/any(c:c eq '"+me+"')"), "", nil},
		{"by appId", "GET", filtered(principals, "appId eq '"+string(managed.ClientID)+"'"), "", []string{it}},
		{"by display name", "GET", filtered(principals, "displayName eq 'myid'"), "", []string{it}},
		{"by its beginning", "GET", filtered(principals, "startswith(displayName,'my')"), "", []string{it}},
		{"by two things", "GET", filtered(principals, "startswith(displayName,'my') and servicePrincipalType eq 'ManagedIdentity'"), "", []string{it}},
		{"by two things that no one is", "GET", filtered(principals, "startswith(displayName,'my') and displayName eq 'admin'"), "", nil},
		{"by one of two", "GET", filtered(principals, "displayName eq 'admin' or displayName eq 'myid'"), "", []string{me, it}},
		{"by one of a list", "GET", filtered(principals, "id in ('"+it+"','x')"), "", []string{it}},
		{"all", "GET", "/beta/servicePrincipals", "", []string{me, it}},
		{"applications", "GET", applications, "", []string{string(app.ObjectID)}},
		{"an application", "GET", filtered(applications, "appId eq '"+strings.ToUpper(id)+"'"), "", []string{string(app.ObjectID)}},
		{"an application by URI", "GET", filtered(applications, "identifierUris/any(s:s eq 'api://x')"), "", nil},
		{"users", "GET", users, "", []string{string(anna.ObjectID)}},
		{"a user", "GET", filtered(users, "userPrincipalName eq 'Anna@acrux.test'"), "", []string{string(anna.ObjectID)}},
		{"a user disabled", "GET", filtered(users, "accountEnabled eq false"), "", nil},
		{"by IDs", "POST", byIDs, `{"ids":["` + it + `","nobody","` + me + `","` + string(anna.ObjectID) + `"]}`, []string{it, me, string(anna.ObjectID)}},
		{"by IDs, of a type", "POST", byIDs, `{"ids":["` + it + `","` + string(anna.ObjectID) + `"],"types":["user","group"]}`, []string{string(anna.ObjectID)}},
		{"by no IDs", "POST", byIDs, `{}`, nil},
	} {
		a := w.Graph(w.Admin, test.method, test.path, test.body)
		if test.want == nil {
			test.want = []string{}
		}
		if diff := cmp.Diff(test.want, ids(a)); a.Status != 200 || a.At("@odata.context") == nil || diff != "" {
			t.Errorf("%s: %d %s (-want +got)\n%s", test.name, a.Status, a.Body, diff)
		}
	}
	for path, want := range map[string]string{
		principals + "/" + it: it, "/v1.0/servicePrincipals(appId='" + id + "')": me, applications + "/" + string(app.ObjectID): string(app.ObjectID),
		"/v1.0/applications(appId='" + id + "')": string(app.ObjectID), users + "/ANNA@acrux.test": string(anna.ObjectID), "/v1.0/users('" + string(anna.ObjectID) + "')": string(anna.ObjectID),
		"/v1.0/directoryObjects/" + it: it,
	} {
		if a := w.Graph(w.Admin, http.MethodGet, path, ""); a.Status != 200 || a.At("id") != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// Pages come one after the other, each object once, also if some come in between.
func TestPages(t *testing.T) {
	w := servertest.New(t)
	for _, name := range []string{"app-b", "App-a", "app-c", "app-b"} {
		w.Person(name, "", arm.ID{})
	}
	var names []any
	next := w.URL("graph") + filtered(principals, "startswith(displayName,'app')") + "&$top=2"
	for next != "" {
		a := w.Graph(w.Admin, http.MethodGet, strings.TrimPrefix(next, w.URL("graph")), "")
		list, _ := a.At("value").([]any)
		if a.Status != 200 || len(list) > 2 || len(names) > 10 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		for _, v := range list {
			names = append(names, v.(map[string]any)["displayName"])
		}
		next, _ = a.At("@odata.nextLink").(string)
		w.Person("app-0", "", arm.ID{}) // belongs to a page that is over
	}
	if diff := cmp.Diff([]any{"App-a", "app-b", "app-b", "app-c"}, names); diff != "" {
		t.Error(diff)
	}
}

// Bad requests are told what is wrong in the directory's form.
func TestRefusals(t *testing.T) {
	w := servertest.New(t)
	managed, err := w.Directory.NewManaged(t.Context(), "MyId", "/x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	app := w.Graph(w.Admin, "POST", applications, `{"displayName":"app"}`)
	at := applications + "/" + app.At("id").(string)
	many := `{"ids":["` + strings.Repeat(`x","`, 1000) + `x"]}`
	for _, test := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", principals + "/nobody", "", 404, "Request_ResourceNotFound"},
		{"GET", applications + "/nobody", "", 404, "Request_ResourceNotFound"},
		{"GET", users + "/nobody@x", "", 404, "Request_ResourceNotFound"},
		{"GET", users + "/" + string(w.Admin.ObjectID), "", 404, "Request_ResourceNotFound"},
		{"GET", "/v1.0/directoryObjects/nobody", "", 404, "Request_ResourceNotFound"},
		{"GET", "/v1.0/me", "", 400, "BadRequest"},
		{"GET", filtered(principals, "color eq 'blue'"), "", 400, "Request_UnsupportedQuery"},
		{"GET", filtered(principals, "displayName eq 'x' and id eq 'y' or id eq 'z'"), "", 400, "Request_UnsupportedQuery"},
		{"GET", filtered(principals, "displayName ne 'x'"), "", 400, "Request_UnsupportedQuery"},
		{"GET", filtered(principals, "displayName eq 'x"), "", 400, "Request_UnsupportedQuery"},
		{"GET", principals + "?$top=0", "", 400, "Request_BadRequest"},
		{"GET", principals + "?$skiptoken=%00", "", 400, "Request_BadRequest"},
		{"POST", "/v1.0/directoryObjects/getByIds", "{", 400, "Request_BadRequest"},
		{"POST", "/v1.0/directoryObjects/getByIds", "[]", 400, "Request_BadRequest"},
		{"POST", "/v1.0/directoryObjects/getByIds", "null", 400, "Request_BadRequest"},
		{"POST", "/v1.0/directoryObjects/getByIds", many, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":7}`, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":""}`, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":"a\nb"}`, 400, "Request_BadRequest"},
		{"POST", applications, `{}`, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":"x","identifierUris":["api://x"]}`, 501, "NotImplemented"},
		{"POST", applications, `{"displayName":"x","signInAudience":"AzureADMultipleOrgs"}`, 501, "NotImplemented"},
		{"POST", applications, `{"displayName":"x","passwordCredentials":[{}]}`, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":"x","keyCredentials":[{"key":"!"}]}`, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":"x","keyCredentials":[{"key":"eHh4"}]}`, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":"x","keyCredentials":[{"key":"","type":"Symmetric"}]}`, 400, "Request_BadRequest"},
		{"POST", applications, `{"displayName":"` + strings.Repeat("x", 300<<10) + `"}`, 413, "Request_EntityTooLarge"},
		{"POST", at + "/addPassword", `{"passwordCredential":{"endDateTime":"2001-01-01T00:00:00Z"}}`, 400, "Request_BadRequest"},
		{"POST", at + "/addPassword", `{"passwordCredential":{"endDateTime":"tomorrow"}}`, 400, "Request_BadRequest"},
		{"POST", at + "/removePassword", `{"keyId":"nobody"}`, 400, "Request_BadRequest"},
		{"POST", applications + "/nobody/addPassword", `{}`, 404, "Request_ResourceNotFound"},
		{"PATCH", at, `{"displayName":""}`, 400, "Request_BadRequest"},
		{"DELETE", applications + "/nobody", "", 404, "Request_ResourceNotFound"},
		{"POST", at + "/federatedIdentityCredentials", `{"name":"x y z","issuer":"https://x","subject":"s","audiences":["a"]}`, 400, "Request_BadRequest"},
		{"POST", at + "/federatedIdentityCredentials", `{"name":"xyz","issuer":"http://x","subject":"s","audiences":["a"]}`, 400, "Request_BadRequest"},
		{"POST", at + "/federatedIdentityCredentials", `{"name":"xyz","issuer":"https://x?y","subject":"s","audiences":["a"]}`, 400, "Request_BadRequest"},
		{"POST", at + "/federatedIdentityCredentials", `{"name":"xyz","issuer":"https://x","subject":"","audiences":["a"]}`, 400, "Request_BadRequest"},
		{"POST", at + "/federatedIdentityCredentials", `{"name":"xyz","issuer":"https://x","subject":"s","audiences":[]}`, 400, "Request_BadRequest"},
		{"POST", at + "/federatedIdentityCredentials", `{"name":"xyz","issuer":"https://x","subject":"s","audiences":["a"],"claimsMatchingExpression":{"value":"x"}}`, 501, "NotImplemented"},
		{"GET", at + "/federatedIdentityCredentials/nobody", "", 404, "Request_ResourceNotFound"},
		{"POST", principals, `{"appId":"nobody"}`, 400, "Request_BadRequest"},
		{"POST", principals, `{"appId":"` + string(w.Admin.ClientID) + `"}`, 409, "Request_MultipleObjectsWithSameKeyValue"},
		{"DELETE", principals + "/" + string(managed.ObjectID), "", 400, "Request_BadRequest"},
		{"POST", principals + "/" + string(managed.ObjectID) + "/addPassword", `{}`, 400, "Request_BadRequest"},
		{"POST", users, `{"displayName":"x","userPrincipalName":"x@y","passwordProfile":{"password":"short"}}`, 400, "Request_BadRequest"},
		{"POST", users, `{"displayName":"x","userPrincipalName":"x","passwordProfile":{"password":"long enough"}}`, 400, "Request_BadRequest"},
		{"POST", users, `{"displayName":"x","userPrincipalName":"x@y"}`, 400, "Request_BadRequest"},
		{"POST", users, `{"displayName":"x","userPrincipalName":"x@y","passwordProfile":{"password":"long enough","forceChangePasswordNextSignIn":true}}`, 501, "NotImplemented"},
		{"GET", "/v1.0/groups", "", 501, "NotImplemented"},
		{"GET", "/v2.0/users", "", 501, "NotImplemented"},
		{"PUT", users, "", 501, "NotImplemented"},
		{"GET", "/", "", 501, "NotImplemented"},
	} {
		a := w.Graph(w.Admin, test.method, test.path, test.body)
		if message, _ := a.At("error", "message").(string); a.Status != test.status || a.At("error", "code") != test.code || message == "" {
			t.Errorf("%s %s %.100s: %d %s", test.method, test.path, test.body, a.Status, a.Body)
		}
	}
	if all := w.Graph(w.Admin, "GET", applications, ""); len(ids(all)) != 2 {
		t.Errorf("something was made: %s", all.Body)
	}
}

// Who may write the directory is who may assign roles; an application is its owner's as well.
func TestRights(t *testing.T) {
	w := servertest.New(t)
	subscription := arm.SubscriptionID(servertest.Subscription)
	assigner := w.Person("assigner", "Role Based Access Control Administrator", subscription)
	owner := w.Person("owner", "Owner", w.Group)
	contributor := w.Person("contributor", "Contributor", arm.ID{})
	nobody := w.Person("nobody", "", arm.ID{})
	made := w.Graph(assigner, "POST", applications, `{"displayName":"made"}`)
	foreign := w.Graph(w.Admin, "POST", applications, `{"displayName":"foreign"}`)
	if made.Status != 201 || foreign.Status != 201 {
		t.Fatal(made.Body, foreign.Body)
	}
	admin, err := w.Directory.RegistrationByClientID(t.Context(), w.Admin.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	root := user(t, w, "root@acrux.test")
	if _, err := w.Assign(t.Context(), root.ObjectID, "Owner", arm.ID{}); err != nil {
		t.Fatal(err)
	}
	password := func(a any) string { return applications + "/" + a.(string) + "/addPassword" }
	for _, test := range []struct {
		name               string
		who                servertest.Person
		method, path, body string
		status             int
	}{
		{"reading", nobody, "GET", applications, "", 200},
		{"making an application", nobody, "POST", applications, `{"displayName":"x"}`, 403},
		{"making a user", contributor, "POST", users, `{"displayName":"x","userPrincipalName":"x@y","passwordProfile":{"password":"long enough"}}`, 403},
		{"making one as owner of a group", owner, "POST", applications, `{"displayName":"x"}`, 403},
		{"a secret", contributor, "POST", password(made.At("id")), `{}`, 403},
		{"a certificate", contributor, "PATCH", applications + "/" + made.At("id").(string), `{"keyCredentials":[]}`, 403},
		{"a federated credential", contributor, "POST", applications + "/" + made.At("id").(string) + "/federatedIdentityCredentials", `{"name":"xyz","issuer":"https://x","subject":"s","audiences":["a"]}`, 403},
		{"a service principal", contributor, "POST", principals, `{"appId":"` + made.At("appId").(string) + `"}`, 403},
		{"disabling", contributor, "PATCH", principals + "/" + string(nobody.ObjectID), `{"accountEnabled":false}`, 403},
		{"deleting", contributor, "DELETE", principals + "/" + string(nobody.ObjectID), "", 403},
		{"deleting an application", contributor, "DELETE", applications + "/" + made.At("id").(string), "", 403},
		{"a secret of the root's owner", assigner, "POST", password(string(admin.ObjectID)), `{}`, 403},
		{"disabling the root's owner", assigner, "PATCH", principals + "/" + string(w.Admin.ObjectID), `{"accountEnabled":false}`, 403},
		{"the password of the root's owner", assigner, "PATCH", users + "/root@acrux.test", `{"passwordProfile":{"password":"long enough"}}`, 403},
		{"deleting the root's owner", assigner, "DELETE", users + "/root@acrux.test", "", 403},
		{"the password of the root's owner by another", w.Admin, "PATCH", users + "/root@acrux.test", `{"passwordProfile":{"password":"long enough"}}`, 204},
		{"a secret of another's application", assigner, "POST", password(foreign.At("id")), `{}`, 200},
		{"a secret of one's own", assigner, "POST", password(made.At("id")), `{}`, 200},
	} {
		a := w.Graph(test.who, test.method, test.path, test.body)
		message, _ := a.At("error", "message").(string)
		if a.Status != test.status || a.Status == 403 && (a.At("error", "code") != "Authorization_RequestDenied" || !strings.Contains(message, "Insufficient privileges") || !strings.Contains(message, "az role assignment create")) {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Body)
		}
	}
	// An owner stays one without the right to assign roles, and for his own alone.
	assignments, err := w.Checker.Store.Assignments(t.Context(), rbac.Everywhere(assigner.ObjectID))
	if err != nil || len(assignments) != 1 || w.Checker.Store.DeleteAssignment(t.Context(), assignments[0].Scope, assignments[0].Name) != nil {
		t.Fatal(assignments, err)
	}
	if a := w.Graph(assigner, "POST", password(made.At("id")), `{}`); a.Status != 200 {
		t.Errorf("the owner: %d %s", a.Status, a.Body)
	}
	if a := w.Graph(assigner, "POST", password(foreign.At("id")), `{}`); a.Status != 403 {
		t.Errorf("of another: %d %s", a.Status, a.Body)
	}
}

// Whose token is bad, or who was disabled or deleted since, is not let in.
func TestTokens(t *testing.T) {
	w := servertest.New(t)
	p := w.Person("someone", "", arm.ID{})
	good := w.TokenFor(p, "graph")
	expired, err := w.Issuer.Identity(p.Principal, w.URL("graph"), time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	get := func(header string) servertest.Answer {
		return w.Do(servertest.Request{Method: "GET", URL: w.URL("graph") + principals, Header: map[string]string{"Authorization": header}})
	}
	refused := func(name string, a servertest.Answer) {
		t.Helper()
		if message, _ := a.At("error", "message").(string); a.Status != 401 || a.At("error", "code") != "InvalidAuthenticationToken" || message == "" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for name, header := range map[string]string{"none": "", "rubbish": "Bearer x", "for another host": "Bearer " + w.Token(p), "expired": "Bearer " + expired, "in a wrong way": "Basic " + good} {
		refused(name, get(header))
	}
	if a := get("Bearer " + good); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if a := w.Graph(w.Admin, "PATCH", principals+"/"+string(p.ObjectID), `{"accountEnabled":false}`); a.Status != 204 {
		t.Fatal(a.Body)
	}
	refused("disabled", get("Bearer "+good))
	app := w.Graph(w.Admin, "POST", applications, `{"displayName":"off"}`)
	if a := w.Graph(w.Admin, "POST", principals, `{"appId":"`+app.At("appId").(string)+`","accountEnabled":false}`); a.Status != 201 || a.At("accountEnabled") != false {
		t.Error(a.Body)
	}
	if a := w.Graph(w.Admin, "DELETE", principals+"/"+string(p.ObjectID), ""); a.Status != 204 {
		t.Fatal(a.Body)
	}
	refused("deleted", get("Bearer "+good))
}

// An application has so many credentials of each kind and no more.
func TestCredentialsBounded(t *testing.T) {
	w := servertest.New(t)
	app := w.Graph(w.Admin, "POST", applications, `{"displayName":"app"}`)
	at := applications + "/" + app.At("id").(string)
	for _, test := range []struct {
		path string
		body func(i int) string
		made int
	}{
		{at + "/addPassword", func(int) string { return "{}" }, 200},
		{at + "/federatedIdentityCredentials", func(i int) string {
			return fmt.Sprintf(`{"name":"trust%d","issuer":"https://x","subject":"s%d","audiences":["a"]}`, i, i)
		}, 201},
	} {
		for i := range identity.MaxCredentials {
			if a := w.Graph(w.Admin, "POST", test.path, test.body(i)); a.Status != test.made {
				t.Fatalf("%s: %d %s", test.path, a.Status, a.Body)
			}
		}
		if a := w.Graph(w.Admin, "POST", test.path, test.body(99)); a.Status != 400 || a.At("error", "code") != "Request_BadRequest" {
			t.Errorf("%s, one more: %d %s", test.path, a.Status, a.Body)
		}
	}
}

// Clients send whole objects back with one thing changed: the rest says nothing, and what
// cannot be changed is refused.
func TestWholeObjects(t *testing.T) {
	w := servertest.New(t)
	app := w.Graph(w.Admin, "POST", applications, `{"displayName":"app"}`)
	p := w.Graph(w.Admin, "POST", principals, `{"appId":"`+app.At("appId").(string)+`"}`)
	w.Graph(w.Admin, "POST", applications+"/"+app.At("id").(string)+"/addPassword", `{}`)
	u := user(t, w, "anna@acrux.test")
	for path, name := range map[string]string{applications + "/" + app.At("id").(string): "displayName", principals + "/" + p.At("id").(string): "accountEnabled", users + "/" + string(u.ObjectID): "displayName"} {
		shown := w.Graph(w.Admin, "GET", path, "").JSON()
		send := func(name string, value any) servertest.Answer {
			t.Helper()
			changed := maps.Clone(shown)
			changed[name] = value
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			return w.Graph(w.Admin, "PATCH", path, string(text))
		}
		var value any = "other"
		if name == "accountEnabled" {
			value = false
		}
		if a := send(name, value); a.Status != 204 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
		after := w.Graph(w.Admin, "GET", path, "").JSON()
		shown[name] = value
		delete(shown, "appDisplayName") // it follows the application's
		delete(after, "appDisplayName")
		if name == "accountEnabled" {
			delete(shown, "displayName")
			delete(after, "displayName")
		}
		if diff := cmp.Diff(shown, after); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
		if a := send("createdDateTime", "2001-01-01T00:00:00Z"); a.Status != 501 {
			t.Errorf("%s, another time: %d %s", path, a.Status, a.Body)
		}
		if a := send("id", "x"); a.Status != 501 {
			t.Errorf("%s, another ID: %d %s", path, a.Status, a.Body)
		}
	}
}

package graphapi_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/server/servertest"
)

// What clients ask the directory, az-wire 13.
func TestGraph(t *testing.T) {
	w := servertest.New(t)
	managed, err := w.Directory.NewManaged(t.Context(), "MyId", "/x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.Issuer.Identity(w.Admin.Principal, w.URL("graph"), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	me := map[string]any{"@odata.type": "#microsoft.graph.servicePrincipal", "id": string(w.Admin.ObjectID), "appId": string(w.Admin.ClientID), "displayName": "admin",
		"servicePrincipalNames": []any{string(w.Admin.ClientID)}, "servicePrincipalType": "Application", "accountEnabled": true, "appOwnerOrganizationId": servertest.Tenant}
	it := map[string]any{"@odata.type": "#microsoft.graph.servicePrincipal", "id": string(managed.ObjectID), "appId": string(managed.ClientID), "displayName": "MyId",
		"servicePrincipalNames": []any{string(managed.ClientID)}, "servicePrincipalType": "ManagedIdentity", "accountEnabled": true, "appOwnerOrganizationId": servertest.Tenant}
	filter := func(text string) string {
		return "/v1.0/servicePrincipals?$filter=" + url.QueryEscape(text)
	}
	for _, test := range []struct {
		name, method, path, body string
		want                     []any
	}{
		{"by name", "GET", filter("servicePrincipalNames/any(c:c eq '" + string(w.Admin.ClientID) + "')"), "", []any{me}},
		{"by name, of an object", "GET", filter("servicePrincipalNames/any(c:c eq '" + string(w.Admin.ObjectID) + "')"), "", []any{}},
		{"by appId", "GET", filter("appId eq '" + string(managed.ClientID) + "'"), "", []any{it}},
		{"by display name", "GET", filter("displayName eq 'myid'"), "", []any{it}},
		{"by its beginning", "GET", filter("startswith(displayName,'my')"), "", []any{it}},
		{"by what nobody knows", "GET", filter("color eq 'blue'"), "", []any{}},
		{"all", "GET", "/beta/servicePrincipals", "", []any{it, me}},
		{"by IDs", "POST", "/v1.0/directoryObjects/getByIds", `{"ids":["` + string(managed.ObjectID) + `","nobody","` + string(w.Admin.ObjectID) + `"],"types":["user"]}`, []any{it, me}},
		{"by no IDs", "POST", "/v1.0/directoryObjects/getByIds", `{}`, []any{}},
	} {
		a := w.Do(servertest.Request{Method: test.method, URL: w.URL("graph") + test.path, Body: test.body, Header: map[string]string{"Authorization": "Bearer " + token}})
		if diff := cmp.Diff(test.want, a.At("value")); a.Status != 200 || a.At("@odata.context") == nil || diff != "" {
			t.Errorf("%s: %d (-want +got)\n%s", test.name, a.Status, diff)
		}
	}
	one := w.Do(servertest.Request{Method: "GET", URL: w.URL("graph") + "/v1.0/servicePrincipals/" + string(managed.ObjectID), Header: map[string]string{"Authorization": "Bearer " + token}})
	if diff := cmp.Diff(any(it), any(one.JSON())); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		method, path, body, header string
		status                     int
		code                       string
	}{
		{"GET", "/v1.0/servicePrincipals/nobody", "", "Bearer " + token, 404, "Request_ResourceNotFound"},
		{"POST", "/v1.0/directoryObjects/getByIds", "{", "Bearer " + token, 400, "Request_BadRequest"},
		{"POST", "/v1.0/directoryObjects/getByIds", "[]", "Bearer " + token, 400, "Request_BadRequest"},
		{"GET", "/v1.0/users", "", "Bearer " + token, 501, "NotImplemented"},
		{"DELETE", "/v1.0/servicePrincipals/" + string(managed.ObjectID), "", "Bearer " + token, 501, "NotImplemented"},
		{"GET", "/", "", "Bearer " + token, 501, "NotImplemented"},
		{"GET", "/v1.0/servicePrincipals", "", "", 401, "InvalidAuthenticationToken"},
		{"GET", "/v1.0/servicePrincipals", "", "Bearer x", 401, "InvalidAuthenticationToken"},
		{"GET", "/v1.0/servicePrincipals", "", "Bearer " + w.Token(w.Admin), 401, "InvalidAuthenticationToken"},
	} {
		a := w.Do(servertest.Request{Method: test.method, URL: w.URL("graph") + test.path, Body: test.body, Header: map[string]string{"Authorization": test.header}})
		if message, _ := a.At("error", "message").(string); a.Status != test.status || a.At("error", "code") != test.code || message == "" {
			t.Errorf("%s %s: %d %s", test.method, test.path, a.Status, a.Body)
		}
	}
}

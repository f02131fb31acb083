package armapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
)

// Who has no right to a resource gets the same answer whether it is there or not.
func TestExistenceIsNobodysBusiness(t *testing.T) {
	w := servertest.New(t)
	mine := w.NewRegistry("MineOwn1")
	caller := w.Person("caller", "Contributor", mine)
	all := patched(w)
	for kind, there := range all {
		gone := there[:len(there)-1] + "x"
		name := there[strings.LastIndex(there, "/")+1:]
		named := strings.NewReplacer(gone[strings.LastIndex(gone, "/")+1:], name)
		same := func(what, method, path, other, body string) {
			t.Helper()
			one, two := w.ARM(caller, method, path, body), w.ARM(caller, method, other, body)
			if one.Status != 403 || two.Status != 403 || one.Body != named.Replace(two.Body) {
				t.Errorf("%s, %s: %d %s\n%d %s", kind, what, one.Status, one.Body, two.Status, two.Body)
			}
		}
		version := "?api-version=2025-04-01"
		for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodPut, http.MethodDelete} {
			if a := w.ARM(w.Admin, method, gone+"/"+version, `{"zones":["x"]}`); a.Status == 405 {
				continue
			}
			same(method, method, there+version, gone+version, `{}`)
		}
		tags := "/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
		same("tags", http.MethodGet, there+tags, gone+tags, "")
		assignments := "/providers/Microsoft.Authorization/roleAssignments/" + servertest.Tenant + "?api-version=2022-04-01"
		same("assigning", http.MethodPut, there+assignments, gone+assignments,
			`{"properties":{"roleDefinitionId":"x","principalId":"x"}}`)
	}
	source := func(id string) servertest.Answer {
		return w.ARM(caller, http.MethodPost, mine.String()+"/importImage",
			`{"source":{"resourceId":"`+id+`","sourceImage":"a:1"}}`)
	}
	there, gone := w.Registry.String(), arm.GroupID(servertest.Subscription,
		"MyGroup").String()+"/providers/Microsoft.ContainerRegistry/registries/NoRegistry"
	if one, two := source(there), source(gone); one.Status != 403 || strings.ReplaceAll(one.Body, there,
		"ID") != strings.ReplaceAll(two.Body, gone, "ID") {
		t.Errorf("importing: %d %s\n%d %s", one.Status, one.Body, two.Status, two.Body)
	}
}

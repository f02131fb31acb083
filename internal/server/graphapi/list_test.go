package graphapi_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/server/servertest"
)

// follow returns the names of a list and the lengths of its pages.
func follow(t *testing.T, w *servertest.World, path string) (names []string, lengths []int) {
	t.Helper()
	for next := w.URL("graph") + path; next != ""; {
		a := w.Graph(w.Admin, "GET", strings.TrimPrefix(next, w.URL("graph")), "")
		list, ok := a.At("value").([]any)
		if !ok {
			t.Fatal(a.Status, a.Body)
		}
		lengths = append(lengths, len(list))
		for _, v := range list {
			names = append(names, v.(map[string]any)["displayName"].(string))
		}
		next, _ = a.At("@odata.nextLink").(string)
	}
	return names, lengths
}

// A large directory is listed page by page, and searched without being read.
func TestLargeDirectory(t *testing.T) {
	w := servertest.New(t)
	const n = 2500
	var one identity.Principal
	err := w.Directory.InTx(t.Context(), func(ctx context.Context) error {
		for i := range n {
			p := identity.Principal{ObjectID: identity.ObjectID(fmt.Sprintf("o%05d", i)), ClientID: identity.ClientID(fmt.Sprintf("c%05d", i)),
				Kind: identity.ManagedIdentity, DisplayName: fmt.Sprintf("Robot %05d", n-i), Created: time.Now()}
			if one = p; i%50 == 0 {
				p.UserName, p.ClientID, p.Kind = fmt.Sprintf("u%05d@x", i), "", identity.User
			}
			if err := w.Directory.PutPrincipal(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]int{
		filtered(users, "startswith(displayName,'robot ')"):                                            {50},
		filtered(users, "startswith(displayName,'robot ')") + "&$top=20":                               {20, 20, 10},
		filtered(users, "userPrincipalName eq 'U00050@X'"):                                             {1},
		filtered(users, "userPrincipalName eq 'c00051'"):                                               {0},
		filtered(principals, "startswith(displayName,'ROBOT 0000')"):                                   {9},
		filtered(principals, "displayName eq 'robot 00001'"):                                           {1},
		filtered(principals, "displayName eq 'robot 0000'"):                                            {0},
		filtered(principals, "servicePrincipalNames/any(c:c eq 'C00001')"):                             {1},
		filtered(principals, "servicePrincipalNames/any(c:c eq 'o00001')"):                             {0},
		filtered(principals, "id eq '"+string(one.ObjectID)+"'"):                                       {1},
		filtered(principals, "id eq '"+string(one.ObjectID)+"' and displayName eq 'another'"):          {0},
		filtered(principals, "id eq 'o00000'"):                                                         {0}, // a user
		filtered(principals, "startswith(displayName,'robot ')") + "&$top=999":                         {999, 999, 452},
		filtered(principals, "displayName in ('Robot 00001','Robot 02499')") + "&$top=999":             {1, 1}, // what is looked at for a page is bounded
		filtered(principals, "displayName eq 'Robot 00001' or displayName eq 'Robot 00002'"):           {2, 0},
		filtered(principals, "displayName eq 'Robot 00001' and servicePrincipalType eq 'Application'"): {0},
	} {
		names, lengths := follow(t, w, path)
		if !slices.Equal(lengths, want) {
			t.Errorf("%s has pages of %v, want %v", path, lengths, want)
		}
		if sorted := slices.Compact(slices.Sorted(slices.Values(names))); len(sorted) != len(names) {
			t.Errorf("%s shows something twice", path)
		}
	}
	for _, token := range []string{"x", "eA", "eAB5AHo"} { // no base64, one member, three
		if a := w.Graph(w.Admin, "GET", principals+"?$skiptoken="+token, ""); a.Status != 400 {
			t.Errorf("%s: %d %s", token, a.Status, a.Body)
		}
	}
}

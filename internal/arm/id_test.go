package arm_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/arm"
)

func parse(t *testing.T, text string) arm.ID {
	t.Helper()
	id, err := arm.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestParseID(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"/", "/"},
		{"", "/"},
		{"/subscriptions/S", "/subscriptions/S"},
		{"/SUBSCRIPTIONS/S/resourcegroups/G/", "/subscriptions/S/resourceGroups/G"},
		{"//subscriptions//S//resourceGroups//G//providers//A.B//t//n", "/subscriptions/S/resourceGroups/G/providers/A.B/t/n"},
		{"/subscriptions/S/resourceGroups/G/providers/A.B/t/n/u/m", "/subscriptions/S/resourceGroups/G/providers/A.B/t/n/u/m"},
		{"/subscriptions/S/resourceGroups/G/providers/Microsoft.ManagedIdentity/userAssignedIdentities/I", "/subscriptions/S/resourcegroups/G/providers/Microsoft.ManagedIdentity/userAssignedIdentities/I"},
		{"/subscriptions", ""},
		{"/resourceGroups/G", ""},
		{"/subscriptions/S/resourceGroups", ""},
		{"/subscriptions/S/resourceGroups/G/providers", ""},
		{"/subscriptions/S/resourceGroups/G/providers/A.B", ""},
		{"/subscriptions/S/resourceGroups/G/providers/A.B/t", ""},
		{"/subscriptions/S/resourceGroups/G/providers/A.B/t/n/u", ""},
	} {
		id, err := arm.ParseID(test.in)
		if err == nil && id.String() != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q: %s, %v", test.in, id, err)
		}
	}
}

func TestScopes(t *testing.T) {
	id := parse(t, "/subscriptions/S/resourceGroups/G/providers/A.B/t/n/u/m")
	var all []string
	for _, scope := range id.Scopes() {
		all = append(all, scope.String())
	}
	want := []string{id.String(), "/subscriptions/S/resourceGroups/G/providers/A.B/t/n", "/subscriptions/S/resourceGroups/G", "/subscriptions/S", "/"}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	if parse(t, "/subscriptions/S/resourceGroups/G").Contains(parse(t, "/subscriptions/S/resourceGroups/G2")) {
		t.Error("a group contains another whose name begins with its own")
	}
}

// An ID is written as it is read again; everything above it contains it, and it
// contains nothing above itself.
func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"/", "/subscriptions/S/resourceGroups/G/providers/A.B/t/n", "/subscriptions/S/providers/A/b/c", "//x//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := arm.ParseID(text)
		if err != nil {
			return
		}
		again, err := arm.ParseID(id.String())
		if err != nil || again.String() != id.String() {
			t.Fatalf("%q became %s, then %s, %v", text, id, again, err)
		}
		for i, scope := range id.Scopes() {
			if !scope.Contains(id) || i > 0 && id.Contains(scope) {
				t.Fatalf("%s and %s", scope, id)
			}
		}
		if strings.Contains(id.Child("t", "n").Parent().String(), "//") {
			t.Fatalf("%s has an empty part", id)
		}
	})
}

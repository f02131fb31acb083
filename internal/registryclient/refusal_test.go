package registryclient

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReasons(t *testing.T) {
	for body, want := range map[string][]Reason{
		"":       nil,
		"<html>": nil,
		`{"errors":[{"code":"DENIED","message":"no"}]}`:                                            {{Code: "DENIED", Message: "no"}},
		`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no","detail":"a\nb"}]}`:                  {{Code: "MANIFEST_UNKNOWN", Message: "no", Detail: []string{"a", "b"}}},
		`{"errors":[{"code":"DENIED","message":"no","detail":{"message":"a","hints":["b","c"]}}]}`: {{Code: "DENIED", Message: "no", Detail: []string{"a"}, Hints: []string{"b", "c"}}},
		`{"errors":[{"code":"DENIED","message":"no","detail":[{"Type":"repository"}]}]}`:           {{Code: "DENIED", Message: "no"}},
		`{"errors":[{"code":"A"},{"code":"B"}]}`:                                                   {{Code: "A"}, {Code: "B"}},
		`{"error":"invalid_grant","error_description":"expired"}`:                                  {{Code: "invalid_grant", Message: "expired"}},
	} {
		if d := cmp.Diff(want, Reasons([]byte(body))); d != "" {
			t.Errorf("%s: %s", body, d)
		}
	}
	if got := (Reason{Code: "MANIFEST_UNKNOWN"}).Words(); got != "manifest unknown" {
		t.Errorf("got %q", got)
	}
}

func TestChallengeFields(t *testing.T) {
	got := challengeFields(`realm="https://r.example/token",service="r, s", scope="a,b" ,x=y`)
	want := map[string]string{"realm": "https://r.example/token", "service": "r, s", "scope": "a,b", "x": "y"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

package acrtool

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/oci"
)

func TestParseFilter(t *testing.T) {
	for text, want := range map[string][]string{
		"hello:.*":             {"hello", ".*"},
		"samples/.*:^v[0-9]+$": {"samples/.*", "^v[0-9]+$"},
		"(?:a|b):(?i:x)y":      {"(?:a|b)", "(?i:x)y"},
		"a[:/]b:c":             {"a[:/]b", "c"},
		`a\:b:c`:               {`a\:b`, "c"},
		"a:^(?!keep)":          {"a", "^(?!keep)"},
		"a:(?<!not-)ok":        {"a", "(?<!not-)ok"},
		"a:(?P<name>x)":        {"a", "(?P<name>x)"},
	} {
		f, err := ParseFilter(text)
		if err != nil || f.Repository != want[0] || f.Tag != want[1] {
			t.Errorf("%s: %q, %q, %v", text, f.Repository, f.Tag, err)
		}
	}
	for _, bad := range []string{"", "hello", ":x", "x:", "a:b:c", "([:x", "a:(["} {
		if _, err := ParseFilter(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func filters(t *testing.T, texts ...string) (all []Filter) {
	t.Helper()
	for _, text := range texts {
		f, err := ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func TestTagsOf(t *testing.T) {
	all := filters(t, "a:x", "a.*:y", "a:x")
	for repository, want := range map[string]string{"a": "(?:x)|(?:y)", "ab": "(?:y)", "ba": ""} {
		got, ok, err := TagsOf(all, repository)
		if err != nil || ok != (want != "") || ok && got != "(?:"+want+")" && got != want {
			t.Errorf("%s: %q, %v, %v", repository, got, ok, err)
		}
	}
}

func TestPlainNames(t *testing.T) {
	if got := plainNames(filters(t, "a/b.c:x", "d:y")); !slices.Equal(got, []string{"a/b.c", "d"}) {
		t.Errorf("got %q", got)
	}
	if got := plainNames(filters(t, "a:x", "b.*:y")); got != nil {
		t.Errorf("got %q of an expression", got)
	}
}

func TestParseAgo(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "2d3h6m": 51*time.Hour + 6*time.Minute, "1.5h": 90 * time.Minute, "0d": 0, "0s": 0} {
		if got, err := ParseAgo(text); got != want || err != nil {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "d", "1w", "1d-5h", "999999d"} {
		if got, err := ParseAgo(bad); err == nil {
			t.Errorf("%q is %s", bad, got)
		}
	}
}

func TestLoginServer(t *testing.T) {
	for _, test := range [][3]string{
		{"", "own.azurecr.acrux.localhost:8443", "own.azurecr.acrux.localhost:8443"}, {"Other", "own.azurecr.acrux.localhost:8443", "other.azurecr.acrux.localhost:8443"},
		{"other.azurecr.io", "own.azurecr.acrux.localhost", "other.azurecr.io"}, {"other", "", "other.azurecr.io"},
	} {
		if got, err := loginServer(test[0], test[1]); got != test[2] || err != nil {
			t.Errorf("%q of %q: %q, %v", test[0], test[1], got, err)
		}
	}
	if _, err := loginServer("", ""); err == nil {
		t.Error("no registry is one")
	}
}

func TestCredentialIn(t *testing.T) {
	text := `{"auths":{"r.example":{"auth":"bWU6YTpi"},"https://hub.example/v1/":{"username":"you","password":"c"},"t.example":{"identitytoken":"refresh"}}}`
	for host, want := range map[string][2]string{"r.example": {"me", "a:b"}, "HUB.example": {"you", "c"}, "t.example": {oci.RefreshUser, "refresh"}, "other": {}} {
		user, password, found, err := credentialIn([]byte(text), host)
		if err != nil || found != (want[0] != "") || user != want[0] || password.Reveal() != want[1] {
			t.Errorf("%s: %q %v %v", host, user, found, err)
		}
	}
	for _, bad := range []string{"", "[]", `{"auths":{"r":{"auth":"%"}}}`} {
		if _, _, _, err := credentialIn([]byte(bad), "r"); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestMainSaysWhatIsWrong(t *testing.T) {
	var out, errs strings.Builder
	if code := Main([]string{"acr", "purge", "--filter", "a:b"}, "v0", &out, &errs); code != 1 || !strings.Contains(errs.String(), "--ago is needed") {
		t.Errorf("%d, %s%s", code, out.String(), errs.String())
	}
	errs.Reset()
	if code := Main([]string{"acr", "purge", "--untagged-only", "--untagged"}, "v0", &out, &errs); code != 1 || !strings.Contains(errs.String(), "untagged-only") {
		t.Errorf("%d, %s", code, errs.String())
	}
}

package oci_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/oci"
)

const sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseName(t *testing.T) {
	for _, test := range []struct {
		in   string
		want oci.Reference
		bad  bool
	}{
		{in: "hello", want: oci.Reference{Repository: "hello", Tag: "latest"}},
		{in: "a/b_c/d-e:V1.0_x", want: oci.Reference{Repository: "a/b_c/d-e", Tag: "V1.0_x"}},
		{in: "hello@" + sum, want: oci.Reference{Repository: "hello", Digest: sum}},
		{in: "hello:v1@" + sum, want: oci.Reference{Repository: "hello", Tag: "v1", Digest: sum}},
		{in: "", bad: true},
		{in: ":v1", bad: true},
		{in: "hello:", bad: true},
		{in: "hello@", bad: true},
		{in: "hello@sha256:abc", bad: true},
		{in: "Hello", bad: true},
		{in: "hello:.x", bad: true},
		{in: "../hello", bad: true},
		{in: "a//b", bad: true},
		{in: "a/", bad: true},
		{in: "host:5000/hello", bad: true},
		{in: strings.Repeat("a", 256), bad: true},
	} {
		got, err := oci.ParseName(test.in)
		if (err != nil) != test.bad {
			t.Errorf("%q: %v", test.in, err)
		}
		if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
			t.Errorf("%q (-want +got)\n%s", test.in, diff)
		}
	}
}

func TestParseAccess(t *testing.T) {
	for _, test := range []struct {
		in   []string
		want []oci.Access
	}{
		{nil, nil},
		{[]string{"repository:a/b:pull,push"}, []oci.Access{oci.RepositoryAccess("a/b", oci.Pull, oci.Push)}},
		{[]string{"repository:a:pull repository:b:push", "registry:catalog:*"}, []oci.Access{oci.RepositoryAccess("a", oci.Pull), oci.RepositoryAccess("b", oci.Push), oci.CatalogAccess()}},
		{[]string{"repository:host:5000/a:pull"}, []oci.Access{oci.RepositoryAccess("host:5000/a", oci.Pull)}},
		{[]string{"repository:a:*"}, []oci.Access{oci.RepositoryAccess("a", oci.Pull, oci.Push, oci.Delete, oci.MetadataRead, oci.MetadataWrite, oci.DeletedRead, oci.DeletedRestore)}},
		{[]string{"repository:a:pull,pull,,pull"}, []oci.Access{oci.RepositoryAccess("a", oci.Pull)}},
		{[]string{"", "x", "x:y", "::"}, []oci.Access{{}}},
	} {
		if diff := cmp.Diff(test.want, oci.ParseAccess(test.in)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", test.in, diff)
		}
	}
	if n := len(oci.ParseAccess([]string{strings.Repeat("repository:a:pull ", 1000)})); n != 64 {
		t.Errorf("%d scopes were taken", n)
	}
}

func TestCovers(t *testing.T) {
	have := oci.RepositoryAccess("a", oci.Pull, oci.Push)
	for _, test := range []struct {
		need oci.Access
		want bool
	}{
		{oci.RepositoryAccess("a", oci.Pull), true},
		{oci.RepositoryAccess("a", oci.Push, oci.Pull), true},
		{oci.RepositoryAccess("a", oci.Delete), false},
		{oci.RepositoryAccess("a", oci.Pull, oci.Delete), false},
		{oci.RepositoryAccess("a/b", oci.Pull), false},
		{oci.RepositoryAccess("", oci.Pull), false},
		{oci.CatalogAccess(), false},
	} {
		if have.Covers(test.need) != test.want {
			t.Errorf("%s covers %s: %v", have, test.need, !test.want)
		}
	}
	all := oci.RepositoryAccess(oci.AnyRepository, oci.Pull)
	catalog := oci.CatalogAccess()
	catalog.Name = oci.AnyRepository
	if !all.Covers(oci.RepositoryAccess("a/b", oci.Pull)) || all.Covers(oci.RepositoryAccess("a", oci.Push)) ||
		all.Covers(oci.CatalogAccess()) || catalog.Covers(oci.CatalogAccess()) {
		t.Errorf("%s covers something else than that in all repositories", all)
	}
}

// A name that was understood is written as it would be understood again.
func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"hello", "a/b:v1", "a@" + sum, "a:v@" + sum, "a:b:c", "@", "a\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := oci.ParseName(text)
		if err != nil {
			return
		}
		if !oci.ValidRepository(ref.Repository) || ref.Tag != "" && !oci.ValidTag(ref.Tag) || ref.Tag == "" && ref.Digest == "" {
			t.Fatalf("%q was understood as %#v", text, ref)
		}
		again, err := oci.ParseName(ref.Name())
		if err != nil || again != ref {
			t.Fatalf("%q became %#v, then %#v, %v", text, ref, again, err)
		}
		if strings.ContainsAny(ref.Name(), " \n\r\t\"<>\\") || strings.Contains(ref.Name(), "..") && strings.Contains(ref.Repository, "..") {
			t.Fatalf("%q has what no name may have", text)
		}
	})
}

// What was understood of scopes covers itself, is bounded, and is understood the same
// when written again.
func FuzzParseAccess(f *testing.F) {
	for _, seed := range []string{"repository:a:pull,push", "registry:catalog:*", "repository:h:1/a:*", "a:b:c d:e:f", "::", "x:y:,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all := oci.ParseAccess([]string{text})
		if len(all) > 64 {
			t.Fatalf("%d scopes", len(all))
		}
		for _, access := range all {
			if !access.Covers(access) {
				t.Fatalf("%s does not cover itself", access)
			}
			if access.Type == "repository" && slices.Contains(access.Actions, "*") {
				t.Fatalf("%s was not written out", access)
			}
			again := oci.ParseAccess([]string{access.String()})
			if len(again) != 1 || again[0].String() != access.String() {
				t.Fatalf("%q became %v", access.String(), again)
			}
		}
	})
}

package secret

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	tests := []struct {
		name    string
		secrets []string
		in      []string // pieces
		want    string
	}{
		{"none", nil, []string{"hello\n"}, "hello\n"},
		{"whole", []string{"hunter2"}, []string{"pw=hunter2!\n"}, "pw=***!\n"},
		{"in pieces", []string{"hunter2"}, []string{"pw=hun", "te", "r2!\n"}, "pw=***!\n"},
		{"almost", []string{"hunter2"}, []string{"hunter", "1 hunter"}, "hunter1 hunter"},
		{"too short", []string{"abc"}, []string{"abc"}, "abc"},
		{"twice", []string{"abcd"}, []string{"abcdabcd"}, "******"},
		{"one in the other", []string{"abcd", "abcdef"}, []string{"abcd", "ef abcd"}, "*** ***"},
		{"overlapping", []string{"abcd", "cdef"}, []string{"abc", "defg"}, "***g"},
		{"lines", []string{"first line\nsecond line\n"}, []string{"first line\r\nsecond line\r\n"}, "***\r\n***\r\n"},
		{"restart", []string{"aaab"}, []string{"aaaaab"}, "aa***"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mask := NewMask()
			for _, s := range tt.secrets {
				mask.Add(New(s))
			}
			var out strings.Builder
			w := mask.Writer(&out)
			for _, piece := range tt.in {
				if _, err := w.Write([]byte(piece)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("got %q, want %q", out.String(), tt.want)
			}
		})
	}
}

func TestMaskHoldsNothingOrdinary(t *testing.T) {
	var out strings.Builder
	w := NewMask(New("hunter2")).Writer(&out)
	if _, err := w.Write([]byte("a line\n")); err != nil || out.String() != "a line\n" {
		t.Errorf("got %q, %v before the flush", out.String(), err)
	}
}

// The output holds no secret, and does not depend on how the input was cut.
func FuzzMask(f *testing.F) {
	f.Add("pw=hunter2 hunter2", "hunter2", "ter2 hun", uint8(3))
	f.Add("aaaaaaaab", "aaab", "aaaa", uint8(1))
	f.Fuzz(func(t *testing.T, text, first, second string, size uint8) {
		mask := NewMask(New(first), New(second))
		whole := mask.Text(text)
		for _, secret := range []string{first, second} {
			// A text of stars may appear by masking.
			if len(secret) >= minMasked && !strings.Contains(secret, "*") && strings.Contains(whole, secret) {
				t.Errorf("%q shows %q", whole, secret)
			}
		}
		var out strings.Builder
		w := mask.Writer(&out)
		for rest := []byte(text); len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
		_ = w.Flush()
		if out.String() != whole {
			t.Errorf("in pieces of %d: %q, whole: %q", int(size)+1, out.String(), whole)
		}
	})
}

// A shell takes a secret apart that has no quotes around it.
func TestMaskHidesWords(t *testing.T) {
	mask := NewMask(New("p@ss word;x or"), New("it's {\"a\":1}"), New("pa$tword"),
		New("-----BEGIN PRIVATE KEY-----\nMIIE vQIB\n-----END PRIVATE KEY-----\n"))
	for _, test := range []struct{ text, want string }{
		{"p@ss word;x or", "***"},
		{"p@ss", "***"},
		{"sh: word: not found", "sh: ***: not found"},
		{"x or y", "x or y"},
		{"its is short", "its is short"},
		{"{a:1}", "***"},
		{"tword", "***"},
		{"vQIB", "***"},
		{"a PRIVATE KEY", "a PRIVATE KEY"},
	} {
		if got := mask.Text(test.text); got != test.want {
			t.Errorf("%q is shown as %q, want %q", test.text, got, test.want)
		}
	}
}

package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

const sample = "p@ss w/rd+\"<\u00e9>\\&?=%"

func TestMaskHidesEncodings(t *testing.T) {
	mask := NewMask(New(sample), New("short1"))
	quoted, err := json.Marshal(map[string]string{"a": sample})
	if err != nil {
		t.Fatal(err)
	}
	std := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, test := range []struct{ name, text, want string }{
		{"base64", std(sample), "***"},
		{"base64, no padding", base64.RawStdEncoding.EncodeToString([]byte(sample)), "***"},
		{"base64 for URLs", base64.URLEncoding.EncodeToString([]byte(sample)), "***"},
		{"with a line end", std(sample + "\n"), "***K"},
		{"basic authentication", std("user:" + sample), "dXNlcjp***Q=="},
		{"inside, shifted one", std("u" + sample + " and more"), "dX***IGFuZCBtb3Jl"},
		{"inside, shifted two", std("us" + sample + "x"), "dXN***Xg="},
		{"query", url.QueryEscape(sample), "***"},
		{"path", url.PathEscape(sample), "***"},
		{"query, in lower case", lowerEscapes(url.QueryEscape(sample)), "***"},
		{"JSON", string(quoted), `{"a":"***"}`},
		{"JSON, HTML as it is", strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted)), `{"a":"***"}`},
		{"hexadecimal", hex.EncodeToString([]byte(sample)), "***"},
		{"short in base64", std("short1"), "***"},
		{"short, more behind", std("short1:x"), "***Ong="},
	} {
		for _, size := range []int{1, 7, 1000} {
			var out strings.Builder
			w := mask.Writer(&out)
			for rest := test.text; rest != ""; {
				n := min(size, len(rest))
				_, _ = w.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			_ = w.Flush()
			if got := out.String(); got != test.want {
				t.Errorf("%s in pieces of %d: %q is shown as %q, want %q", test.name, size, test.text, got, test.want)
			}
		}
	}
}

func TestMaskHidesWrappedBase64(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 20)
	mask := NewMask(New(long))
	whole := base64.StdEncoding.EncodeToString([]byte(long))
	for _, width := range lineWidths {
		text := strings.Join(chunks(whole, width), "\n")
		if got := strings.Trim(mask.Text(text), "*\n"); got != "" {
			t.Errorf("in lines of %d: %q is left", width, got)
		}
	}
}

// What is not secret is not hidden for being short.
func TestMaskLeavesShortEncodings(t *testing.T) {
	mask := NewMask(New("abcd"))
	for _, text := range []string{"YWJj", "61626364 is hidden", "ordinary text, nothing in it"} {
		if got := mask.Text(text); text != "61626364 is hidden" && got != text {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}

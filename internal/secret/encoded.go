package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// minEncoded is the length below which a part of an encoded secret is not masked: too
// much other text has it as well.
const minEncoded = 8

// lineWidths are where common programs break lines of Base64.
var lineWidths = []int{76, 64}

// encoded lists the forms in which programs commonly print a text that is not shown as
// it is: in Base64, alone or as part of something, percent-encoded, as a JSON string, in
// hexadecimal.
func encoded(text string) []string {
	forms := []string{hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text)))}
	for _, escaped := range []string{url.QueryEscape(text), url.PathEscape(text)} {
		forms = append(forms, escaped, lowerEscapes(escaped))
	}
	for _, html := range []bool{true, false} {
		forms = append(forms, jsonEscaped(text, html))
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		whole := encoding.EncodeToString([]byte(text))
		forms = append(forms, whole, strings.TrimRight(whole, "="))
		for _, width := range lineWidths {
			forms = append(forms, chunks(whole, width)...)
		}
		for before := range 3 {
			forms = append(forms, base64Core(encoding, text, before))
		}
	}
	var kept []string
	for _, form := range forms {
		if form != text && len(form) >= minEncoded {
			kept = append(kept, form)
		}
	}
	return kept
}

// base64Core is the part of the Base64 of something that is the text's alone, if so many
// bytes more than a multiple of three come before the text.
func base64Core(encoding *base64.Encoding, text string, before int) string {
	all := encoding.EncodeToString(append(make([]byte, before), text...))
	first := (before*8 + 5) / 6          // the first character without a bit of what is before
	last := (before + len(text)) * 8 / 6 // behind the last without one of what comes after
	return all[min(first, last):last]
}

// chunks cuts a text into lines. A text of one line has none.
func chunks(text string, width int) []string {
	var lines []string
	for len(text) > width || len(lines) > 0 && text != "" {
		n := min(width, len(text))
		lines, text = append(lines, text[:n]), text[n:]
	}
	return lines
}

func jsonEscaped(text string, html bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(html)
	if encoder.Encode(text) != nil {
		return ""
	}
	return strings.Trim(strings.TrimSuffix(out.String(), "\n"), `"`)
}

// lowerEscapes writes the digits of %2F as some programs do: %2f.
func lowerEscapes(text string) string {
	lower := []byte(text)
	for i := 0; i+2 < len(lower); i++ {
		if lower[i] == '%' {
			copy(lower[i+1:i+3], strings.ToLower(text[i+1:i+3]))
		}
	}
	return string(lower)
}

package assertion

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/access/identity"
)

func TestNamed(t *testing.T) {
	// One whose thumbprint differs between the alphabets of base64.
	var c identity.Credential
	var sum [20]byte
	for i := byte(0); ; i++ {
		c.Certificate = []byte{i}
		sum, _ = c.Thumbprints()
		if text := base64.StdEncoding.EncodeToString(sum[:]); strings.Contains(text, "+") && strings.Contains(text, "/") {
			break
		}
	}
	_, sum256 := c.Thumbprints()
	for _, test := range []struct {
		name   string
		header map[string]any
		want   bool
	}{
		{"nothing", map[string]any{}, true},
		{"base64 as RFC 7515 has it", map[string]any{"x5t": base64.RawURLEncoding.EncodeToString(sum[:])}, true},
		{"the other base64", map[string]any{"x5t": base64.StdEncoding.EncodeToString(sum[:])}, true},
		{"hexadecimal", map[string]any{"x5t": strings.ToUpper(hex.EncodeToString(sum[:]))}, true},
		{"both thumbprints", map[string]any{"x5t": hex.EncodeToString(sum[:]), "x5t#S256": base64.StdEncoding.EncodeToString(sum256[:])}, true},
		{"one of two is wrong", map[string]any{"x5t": hex.EncodeToString(sum[:]), "x5t#S256": "x"}, false},
		{"another", map[string]any{"x5t": "x"}, false},
		{"a number", map[string]any{"x5t": 7}, true},
		{"the name of the key", map[string]any{"kid": hex.EncodeToString(sum[:])}, true},
		{"another name of the key", map[string]any{"kid": "x"}, false},
	} {
		if got := named(c, test.header); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

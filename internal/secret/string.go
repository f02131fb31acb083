// Package secret keeps secrets from being shown: a string that prints as ***,
// sealing of values at rest, and masking of secret texts in streams.
package secret

import "log/slog"

// String is a secret text. Every usual way to print, log or marshal it gives ***;
// only Reveal, and the binary form that is sealed, give the text, so each place that
// needs it can be found.
type String struct{ text string }

// masked is what is shown in place of a secret.
const masked = "***"

// New wraps text.
func New(text string) String { return String{text} }

// Reveal returns the text itself.
func (s String) Reveal() string { return s.text }

// Empty reports whether there is no text.
func (s String) Empty() bool { return s.text == "" }

// String implements fmt.Stringer.
func (s String) String() string {
	if s.text == "" {
		return ""
	}
	return masked
}

// GoString implements fmt.GoStringer, for %#v.
func (s String) GoString() string { return `secret.String("` + s.String() + `")` }

// LogValue implements slog.LogValuer.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, and so JSON and YAML.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes a clear text in, from a request or a configuration file.
func (s *String) UnmarshalText(p []byte) error { s.text = string(p); return nil }

// MarshalBinary gives the text itself: gob uses it, and gob is used for one thing
// only, what is sealed before it is stored (see Sealer).
func (s String) MarshalBinary() ([]byte, error) { return []byte(s.text), nil }

// UnmarshalBinary reads what MarshalBinary wrote.
func (s *String) UnmarshalBinary(p []byte) error { s.text = string(p); return nil }

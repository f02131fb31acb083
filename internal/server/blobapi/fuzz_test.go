package blobapi

import "testing"

// FuzzParseRange: a range that is taken lies within the blob and has at least one byte.
func FuzzParseRange(f *testing.F) {
	for _, text := range []string{"bytes=0-", "bytes=0-4095", "bytes=5-4", "bytes=-5", "bytes=0-0,2-3", "bytes=9223372036854775807-", "bytes=+1-2", "x"} {
		f.Add(text, int64(10))
	}
	f.Fuzz(func(t *testing.T, text string, size int64) {
		if size < 0 {
			return
		}
		if from, to, ok := parseRange(text, size); ok && (from < 0 || to < from || to >= size) {
			t.Errorf("%q of %d bytes is %d to %d", text, size, from, to)
		}
	})
}

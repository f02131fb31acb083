package run

import "crypto/rand"

// symbols are the digits of run IDs, in the order of counting. There is no z.
const symbols = "0123456789abcdefghijklmnopqrstuvwxy"

// formatID is the run ID of the n-th run: the registry's prefix and the count in
// base 35, run-semantics 1.1.
func formatID(prefix string, n int64) string {
	var text []byte
	for ; n > 0; n /= int64(len(symbols)) {
		text = append([]byte{symbols[n%int64(len(symbols))]}, text...)
	}
	return prefix + string(text)
}

// newPrefix picks the two letters that begin a registry's run IDs.
func newPrefix() string {
	var p [2]byte
	_, _ = rand.Read(p[:]) // never fails (crypto/rand)
	return string([]byte{"cdy"[int(p[0])%3], 'a' + p[1]%26})
}

package blobstore

import "testing"

// Whatever is pushed fits into the parts that S3 takes, of sizes that S3 takes.
func TestPartSizes(t *testing.T) {
	const maxParts, maxPart, terabyte = 10_000, 5 << 30, 1 << 40
	var total, last int64
	for n := range maxParts {
		size := partSize(n)
		if size < minPart || size > maxPart || size < last {
			t.Fatalf("part %d has %d bytes", n+1, size)
		}
		total, last = total+size, size
	}
	if total < terabyte {
		t.Errorf("all parts have %d bytes", total)
	}
}

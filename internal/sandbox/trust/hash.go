package trust

import (
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"strings"
)

// hashName is how OpenSSL calls the file of a certificate in a directory, but for the number
// that tells those of one subject apart (X509_NAME_hash, openssl-rehash(1)).
func hashName(cert *x509.Certificate) (string, error) {
	var name pkix.RDNSequence
	if _, err := asn1.Unmarshal(cert.RawSubject, &name); err != nil {
		return "", fmt.Errorf("reading a certificate's subject: %w", err)
	}
	var canonical []byte
	for _, set := range name {
		for i := range set {
			if text, ok := set[i].Value.(string); ok {
				set[i].Value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(canonicalText(text))}
			}
		}
		encoded, err := asn1.Marshal(set)
		if err != nil {
			return "", fmt.Errorf("encoding a certificate's subject: %w", err)
		}
		canonical = append(canonical, encoded...)
	}
	sum := sha1.Sum(canonical) // OpenSSL's choice; a name, and no protection
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:])), nil
}

// canonicalText is in lower case, of ASCII alone, with single blanks in between.
func canonicalText(text string) string {
	lower := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	return strings.Map(lower, strings.Join(strings.FieldsFunc(text, isBlank), " "))
}

func isBlank(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) }

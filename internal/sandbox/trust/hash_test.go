package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// The names are those that openssl x509 -hash (3.0.19) prints for the subjects.
func TestHashName(t *testing.T) {
	commonName, country, organization, unit := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 6},
		asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 11}
	text := func(oid asn1.ObjectIdentifier, tag int, value string) pkix.RelativeDistinguishedNameSET {
		return pkix.RelativeDistinguishedNameSET{{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}}
	}
	for want, subject := range map[string]pkix.RDNSequence{
		"6da095fb": {text(commonName, asn1.TagUTF8String, "Acrux")},
		"c043037b": {text(commonName, asn1.TagUTF8String, "Acrux development authority (acrux.localhost)")},
		"967d6187": {text(country, asn1.TagPrintableString, "DE"), text(organization, asn1.TagUTF8String, "A  B  GmbH"),
			text(unit, asn1.TagUTF8String, "X"), text(commonName, asn1.TagUTF8String, "Zürich ÄÖ  CA")},
		"921f03da": {text(organization, asn1.TagUTF8String, "one"), text(commonName, asn1.TagUTF8String, " lead TRAIL ")},
	} {
		raw, err := asn1.Marshal(subject)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := hashName(&x509.Certificate{RawSubject: raw}); err != nil || got != want {
			t.Errorf("%v is %s, want %s (%v)", subject, got, want, err)
		}
	}
}

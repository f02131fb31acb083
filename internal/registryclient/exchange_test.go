package registryclient

import (
	"testing"

	"github.com/acrux/acrux/internal/egress"
)

// Azure's registries are those below its suffixes, or below those that are configured.
func TestExchanges(t *testing.T) {
	for _, test := range []struct {
		suffixes []string
		host     string
		want     bool
	}{
		{nil, "contoso.azurecr.io", true}, {nil, "Contoso.AzureCR.cn:443", true}, {nil, "contoso.azurecr.us", true},
		{nil, "contoso-abc.azurecr.io", true}, {nil, "azurecr.io", false}, {nil, "contoso.azurecr.de", false},
		{[]string{"azurecr.example"}, "contoso.azurecr.example", true}, {[]string{"azurecr.example"}, "contoso.azurecr.io", false},
		{[]string{}, "contoso.azurecr.io", false}, {nil, "localhost:443", false}, {nil, "contoso.azurecr.io:80", false},
	} {
		client := New(&egress.Dialer{}, "test")
		client.Suffixes = test.suffixes
		if got := client.Exchanges(test.host); got != test.want {
			t.Errorf("%s of %v: %v", test.host, test.suffixes, got)
		}
	}
}

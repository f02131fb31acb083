package armapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/server/servertest"
)

// settled is the document of a registry without what every write changes.
func settled(a servertest.Answer) map[string]any {
	doc := a.JSON()
	delete(doc, "systemData")
	return doc
}

// What a GET answered may be PUT and PATCHed as it is: read-only members are ignored,
// and nothing changes. So do 'az acr identity assign' and 'remove'.
func TestRegistryEcho(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String()
	w.ARMOK(w.Admin, http.MethodPut, w.Group.String()+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/MyId", `{"location":"eastus"}`)
	w.ARMOK(w.Admin, http.MethodPatch, path, `{"tags":{"a":"b"},"sku":{"name":"standard"},"identity":{"type":"SystemAssigned,UserAssigned","userAssignedIdentities":{"`+w.Group.String()+`/providers/Microsoft.ManagedIdentity/userAssignedIdentities/MyId":{}}},
		"properties":{"adminUserEnabled":true,"anonymousPullEnabled":true,"policies":{"retentionPolicy":{"days":30},"softDeletePolicy":{"retentionDays":3,"status":"disabled"}}}}`)
	before := w.ARMOK(w.Admin, http.MethodGet, path, "")
	for _, step := range []struct{ method, body string }{
		{http.MethodPut, before.Body}, {http.MethodPatch, before.Body}, {http.MethodPatch, `{}`}, {http.MethodPatch, `{"identity":{},"properties":{}}`},
		{http.MethodPatch, `{"tags":null,"sku":null,"identity":null,"properties":null}`},
		{http.MethodPatch, `{"sku":{"name":null},"identity":{"type":null},"properties":{"adminUserEnabled":null,"anonymousPullEnabled":null,"policies":null,"encryption":null,"publicNetworkAccess":null}}`},
		{http.MethodPatch, `{"properties":{"policies":{"retentionPolicy":null,"exportPolicy":{"status":null},"softDeletePolicy":{}}}}`},
		{http.MethodPut, strings.Replace(before.Body, `"location":"eastus"`, `"location":"eastus","unheardOf":[]`, 1)},
	} {
		a := w.ARM(w.Admin, step.method, path, step.body)
		if diff := cmp.Diff(settled(before), settled(a)); a.Status != 200 || diff != "" {
			t.Errorf("%s %.200s: %d (-before +after)\n%s", step.method, step.body, a.Status, diff)
		}
	}
	if before.At("properties", "policies", "retentionPolicy").(map[string]any)["days"] != 30.0 || before.At("sku", "name") != "Standard" || before.At("identity", "principalId") == nil {
		t.Errorf("the registry is %s", before.Body)
	}
}

// The identities of a registry come and go, by PATCH and by PUT.
func TestRegistryIdentity(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String()
	ids := w.Group.String() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"
	for _, name := range []string{"one1", "two2"} {
		w.ARMOK(w.Admin, http.MethodPut, ids+name, `{"location":"eastus"}`)
	}
	named := strings.NewReplacer("{1}", ids+"one1", "{2}", ids+"two2").Replace
	for _, step := range []struct {
		method, identity, typ string
		users                 int
	}{
		{http.MethodPatch, `{"type":"SystemAssigned"}`, "SystemAssigned", 0},
		{http.MethodPatch, `{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"{1}":{}}}`, "SystemAssigned, UserAssigned", 1},
		{http.MethodPatch, `{"type":"systemAssigned, userAssigned","userAssignedIdentities":{"{2}":{"clientId":"x","principalId":"y"}}}`, "SystemAssigned, UserAssigned", 2},
		{http.MethodPatch, `{"type":"UserAssigned","userAssignedIdentities":{"{1}":null}}`, "UserAssigned", 1},
		{http.MethodPut, `{"type":"UserAssigned","userAssignedIdentities":{"{1}":{}}}`, "UserAssigned", 1},
		{http.MethodPut, `{"type":"None"}`, "", 0},
		{http.MethodPatch, `{"type":"UserAssigned","userAssignedIdentities":{"{1}":{},"{2}":{}}}`, "UserAssigned", 2},
		{http.MethodPatch, `{"type":"none"}`, "", 0},
	} {
		body := `{"sku":{"name":"Basic"},"identity":` + named(step.identity) + `}`
		a := w.ARMOK(w.Admin, step.method, path, body)
		users, _ := a.At("identity", "userAssignedIdentities").(map[string]any)
		typ, _ := a.At("identity", "type").(string)
		if typ != step.typ || len(users) != step.users || strings.Contains(a.Body, `"clientId":"x"`) {
			t.Errorf("%s %s: %s", step.method, step.identity, a.Body)
		}
	}
	for _, identity := range []string{`{"type":"Magic"}`, `{"type":"UserAssigned","userAssignedIdentities":{"nonsense":{}}}`, `{"type":"UserAssigned","userAssignedIdentities":{"` + ids + `none1":{}}}`, `[]`, `"None"`} {
		if a := w.ARM(w.Admin, http.MethodPatch, path, `{"identity":`+identity+`}`); a.Status != 400 {
			t.Errorf("%s: %d %s", identity, a.Status, a.Body)
		}
	}
}

// What would turn on something that is not there is refused by its name, and changes
// nothing else that the request says.
func TestRegistryRefusals(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String()
	for _, test := range []struct {
		properties string
		status     int
		target     string
	}{
		{`{"policies":{"softDeletePolicy":{"status":"enabled","retentionDays":91}}}`, 400, "policies.softDeletePolicy"},
		{`{"policies":{"softDeletePolicy":{"retentionDays":-1}}}`, 400, "policies.softDeletePolicy"},
		{`{"policies":{"softDeletePolicy":{"status":"on"}}}`, 400, "policies.softDeletePolicy.status"},
		{`{"policies":{"retentionPolicy":{"status":"Enabled","days":366}}}`, 400, "policies.retentionPolicy"},
		{`{"policies":{"quarantinePolicy":{"status":"enabled"}}}`, 501, "policies.quarantinePolicy"},
		{`{"policies":{"trustPolicy":{"status":"enabled"}}}`, 501, "policies.trustPolicy"},
		{`{"policies":{"exportPolicy":{"status":"disabled"}}}`, 501, "policies.exportPolicy"},
		{`{"policies":{"azureADAuthenticationAsArmPolicy":{"status":"disabled"}}}`, 501, "policies.azureADAuthenticationAsArmPolicy"},
		{`{"policies":{"retentionPolicy":{"status":"perhaps"}}}`, 400, "policies.retentionPolicy.status"},
		{`{"policies":{"retentionPolicy":{"days":-1}}}`, 400, "policies.retentionPolicy"},
		{`{"publicNetworkAccess":"Disabled"}`, 501, "publicNetworkAccess"},
		{`{"networkRuleBypassOptions":"None"}`, 501, "networkRuleBypassOptions"},
		{`{"networkRuleSet":{"defaultAction":"Deny"}}`, 501, "networkRuleSet"},
		{`{"networkRuleSet":{"defaultAction":"Allow","ipRules":[{"value":"10.0.0.1"}]}}`, 501, "networkRuleSet"},
		{`{"networkRuleSet":{"virtualNetworkRules":[{}]}}`, 501, "networkRuleSet"},
		{`{"dataEndpointEnabled":true}`, 501, "dataEndpointEnabled"},
		{`{"zoneRedundancy":"Enabled"}`, 501, "zoneRedundancy"},
		{`{"encryption":{"status":"enabled"}}`, 501, "encryption"},
		{`{"encryption":{"keyVaultProperties":{"keyIdentifier":"x"}}}`, 501, "encryption.keyVaultProperties"},
		{`{"roleAssignmentMode":"AbacRepositoryPermissions"}`, 501, "roleAssignmentMode"},
		{`{"metadataSearch":"Enabled"}`, 501, "metadataSearch"},
		{`{"autoGeneratedDomainNameLabelScope":"TenantReuse"}`, 501, "autoGeneratedDomainNameLabelScope"},
		{`{"regionalEndpoints":"Enabled"}`, 501, "regionalEndpoints"},
		{`{"endpointProtocol":"IPv4AndIPv6"}`, 501, "endpointProtocol"},
		{`{"adminUserEnabled":"yes"}`, 400, ""},
		{`{"policies":[]}`, 400, ""},
		{`{"policies":{"retentionPolicy":{"days":"7"}}}`, 400, ""},
		{`7`, 400, ""},
	} {
		for _, method := range []string{http.MethodPut, http.MethodPatch} {
			a := w.ARM(w.Admin, method, path, `{"sku":{"name":"Premium"},"tags":{"x":"y"},"properties":`+test.properties+`}`)
			target, _ := a.At("error", "target").(string)
			if a.Status != test.status || test.target != "" && target != "properties."+test.target {
				t.Errorf("%s %s: %d %s", method, test.properties, a.Status, a.Body)
			}
		}
	}
	if a := w.ARMOK(w.Admin, http.MethodGet, path, ""); a.At("sku", "name") != "Basic" || a.At("tags") != nil {
		t.Errorf("a refused request changed %s", a.Body)
	}
	for _, allowed := range []string{`{"publicNetworkAccess":"enabled","zoneRedundancy":"Disabled","networkRuleSet":{"defaultAction":"Allow","ipRules":[]},"dataEndpointEnabled":false,"encryption":{"status":"Disabled"},"networkRuleBypassOptions":"AzureServices",
		"policies":{"exportPolicy":{"status":"ENABLED"},"trustPolicy":{"type":"Notary","status":"disabled"}}}`} {
		w.ARMOK(w.Admin, http.MethodPatch, path, `{"properties":`+allowed+`}`)
	}
}

// Usage is what is there: content that several repositories share counts once, and
// what is deleted no more.
func TestUsages(t *testing.T) {
	w := servertest.New(t)
	ctx := t.Context()
	usage := func(id arm.ID) (size float64, text string) {
		a := w.ARMOK(w.Admin, http.MethodGet, id.String()+"/listUsages", "")
		all := a.At("value").([]any)
		return all[0].(map[string]any)["currentValue"].(float64), a.Body
	}
	if size, text := usage(w.Registry); size != 0 || !strings.Contains(text, `{"name":"Size","limit":10737418240,"currentValue":0,"unit":"Bytes"},{"name":"Webhooks","limit":2,"currentValue":0,"unit":"Count"}`) {
		t.Errorf("the usage is %s", text)
	}
	manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	for _, repository := range []string{"one", "two"} {
		at := registry.Name{Registry: "myregistry", Repository: repository}
		_, err := w.Content.AddBlob(ctx, at, strings.NewReader("12345"), digest.FromString("12345"), time.Now())
		must(t, err)
		_, err = w.Content.PutManifest(ctx, registry.Push{Name: at, Reference: "v1", Body: manifest, Now: time.Now()})
		must(t, err)
	}
	size, _ := usage(w.Registry)
	if want := float64(5 + len(manifest)); size != want {
		t.Errorf("the size is %v, want %v", size, want)
	}
	if size, _ := usage(w.NewRegistry("Another1")); size != 0 {
		t.Errorf("another registry has %v bytes", size)
	}
	for _, repository := range []string{"one", "two"} {
		_, _, err := w.Content.DeleteRepository(ctx, registry.Name{Registry: "myregistry", Repository: repository}, "me", time.Now())
		must(t, err)
	}
	w.ARMOK(w.Admin, http.MethodPatch, w.Registry.String(), `{"sku":{"name":"Premium"}}`)
	if size, text := usage(w.Registry); size != 0 || !strings.Contains(text, `"limit":536870912000`) {
		t.Errorf("the usage is %s", text)
	}
	reader := w.Person("reader", "Reader", w.Registry)
	w.ARMOK(reader, http.MethodGet, w.Registry.String()+"/listUsages", "")
	denied(t, w.ARM(w.Person("pusher", "AcrPush", w.Registry), http.MethodGet, w.Registry.String()+"/listUsages", ""), "Microsoft.ContainerRegistry/registries/listUsages/read")
	if a := w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/listUsages", ""); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", a.Status, a.Body)
	}
}

// Types of which there are none are listed, and refused by name.
func TestEmptyTypes(t *testing.T) {
	w := servertest.New(t)
	for _, typ := range []string{"replications", "privateEndpointConnections", "cacheRules", "credentialSets"} {
		path := w.Registry.String() + "/" + typ
		a := w.ARMOK(w.Admin, http.MethodGet, path, "")
		if a.Body != `{"value":[]}` {
			t.Errorf("%s: %s", typ, a.Body)
		}
		if a := w.ARM(w.Admin, http.MethodGet, path+"/mine1", ""); a.Status != 404 || a.At("error", "code") != "ResourceNotFound" {
			t.Errorf("%s: %d %s", typ, a.Status, a.Body)
		}
		if a := w.ARM(w.Admin, http.MethodGet, strings.Replace(path, "MyRegistry", "nobody1", 1), ""); a.Status != 404 {
			t.Errorf("%s of nothing: %d %s", typ, a.Status, a.Body)
		}
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
			a := w.ARM(w.Admin, method, path+"/mine1", `{"location":"eastus"}`)
			if message, _ := a.At("error", "message").(string); a.Status != 501 || !strings.Contains(message, "Microsoft.ContainerRegistry/registries/"+typ) {
				t.Errorf("%s %s: %d %s", method, typ, a.Status, a.Body)
			}
		}
	}
}

// A Premium registry has network rules, which let everyone in and can be sent back.
func TestNetworkRules(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String()
	if a := w.ARMOK(w.Admin, http.MethodGet, path, ""); a.At("properties", "networkRuleSet") != nil {
		t.Errorf("a Basic registry: %s", a.Body)
	}
	open := map[string]any{"defaultAction": "Allow", "ipRules": []any{}, "virtualNetworkRules": []any{}}
	for _, body := range []string{`{"sku":{"name":"Premium"}}`, `{"properties":{"networkRuleSet":{"defaultAction":"Allow","ipRules":[],"virtualNetworkRules":[]}}}`} {
		a := w.ARMOK(w.Admin, http.MethodPatch, path, body)
		if diff := cmp.Diff(any(open), a.At("properties", "networkRuleSet")); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	a := w.ARM(w.Admin, http.MethodPatch, path, `{"properties":{"networkRuleSet":{"ipRules":[{"value":"192.0.2.1"}]}}}`)
	if a.Status != 501 {
		t.Errorf("a rule that cannot be kept: %d %s", a.Status, a.Body)
	}
}

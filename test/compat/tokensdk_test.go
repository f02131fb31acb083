package compat_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	acr "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerregistry/armcontainerregistry"
)

// The SDK's clients of scope maps and tokens, and a password that they made.
func TestTokenSDK(t *testing.T) {
	t.Parallel()
	need(t)
	s := newWorld(t).serve(t, "")
	k := newSDK(t, s, "adfs")
	acrux(t, s, "group", "create", "--name", "g", "--location", "eastus")
	acrux(t, s, "acr", "create", "--resource-group", "g", "--name", "myregistry", "--sku", "Basic")
	factory, ctx := must[*acr.ClientFactory](t)(acr.NewClientFactory(k.subscription, k.credential, k.options)), t.Context()

	mapping := must[*runtime.Poller[acr.ScopeMapsClientCreateResponse]](t)(factory.NewScopeMapsClient().BeginCreate(ctx, "g", "myregistry", "mymap",
		acr.ScopeMap{Properties: &acr.ScopeMapProperties{Actions: []*string{to.Ptr("repositories/base/content/read")}}}, nil))
	scopeMap := must[acr.ScopeMapsClientCreateResponse](t)(mapping.PollUntilDone(ctx, often))
	if *scopeMap.Properties.Type != "UserDefined" || scopeMap.Properties.CreationDate.IsZero() {
		t.Errorf("the scope map is %+v", scopeMap.Properties)
	}
	listed := 0
	for pager := factory.NewScopeMapsClient().NewListPager("g", "myregistry", nil); pager.More(); {
		listed += len(must[acr.ScopeMapsClientListResponse](t)(pager.NextPage(ctx)).Value)
	}
	if listed != 6 {
		t.Errorf("%d scope maps are listed", listed)
	}

	tokens := factory.NewTokensClient()
	creating := must[*runtime.Poller[acr.TokensClientCreateResponse]](t)(tokens.BeginCreate(ctx, "g", "myregistry", "mytoken",
		acr.Token{Properties: &acr.TokenProperties{ScopeMapID: scopeMap.ID, Status: to.Ptr(acr.TokenStatusEnabled)}}, nil))
	token := must[acr.TokensClientCreateResponse](t)(creating.PollUntilDone(ctx, often))
	expiry := time.Now().Add(time.Hour)
	generating := must[*runtime.Poller[acr.RegistriesClientGenerateCredentialsResponse]](t)(factory.NewRegistriesClient().BeginGenerateCredentials(ctx, "g", "myregistry",
		acr.GenerateCredentialsParameters{TokenID: token.ID, Name: to.Ptr(acr.TokenPasswordNamePassword2), Expiry: &expiry}, nil))
	made := must[acr.RegistriesClientGenerateCredentialsResponse](t)(generating.PollUntilDone(ctx, often))
	if len(made.Passwords) != 1 || *made.Username != "mytoken" || made.Passwords[0].Expiry.Sub(expiry).Abs() > time.Millisecond {
		t.Fatalf("the passwords are %+v", made.GenerateCredentialsResult)
	}
	status := func() int {
		req := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, "https://myregistry.azurecr."+s.Published.Suffix()+"/v2/", nil))
		req.SetBasicAuth(*made.Username, *made.Passwords[0].Value)
		res := must[*http.Response](t)(k.options.Transport.Do(req))
		check(t, res.Body.Close())
		return res.StatusCode
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("signing in: %d", got)
	}
	updating := must[*runtime.Poller[acr.TokensClientUpdateResponse]](t)(tokens.BeginUpdate(ctx, "g", "myregistry", "mytoken",
		acr.TokenUpdateParameters{Properties: &acr.TokenUpdateProperties{Status: to.Ptr(acr.TokenStatusDisabled)}}, nil))
	updated := must[acr.TokensClientUpdateResponse](t)(updating.PollUntilDone(ctx, often))
	if *updated.Properties.Status != acr.TokenStatusDisabled || len(updated.Properties.Credentials.Passwords) != 1 {
		t.Errorf("the token is %+v", updated.Properties)
	}
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("signing in as a disabled token: %d", got)
	}

	var refused *azcore.ResponseError
	if _, err := factory.NewScopeMapsClient().BeginDelete(ctx, "g", "myregistry", "mymap", nil); !errors.As(err, &refused) || refused.ErrorCode != "ScopeMapInUse" {
		t.Errorf("deleting a scope map in use: %v", err)
	}
	deleting := must[*runtime.Poller[acr.TokensClientDeleteResponse]](t)(tokens.BeginDelete(ctx, "g", "myregistry", "mytoken", nil))
	must[acr.TokensClientDeleteResponse](t)(deleting.PollUntilDone(ctx, often))
	dropping := must[*runtime.Poller[acr.ScopeMapsClientDeleteResponse]](t)(factory.NewScopeMapsClient().BeginDelete(ctx, "g", "myregistry", "mymap", nil))
	must[acr.ScopeMapsClientDeleteResponse](t)(dropping.PollUntilDone(ctx, often))
}

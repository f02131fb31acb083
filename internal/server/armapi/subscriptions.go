package armapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// subscriptions serves what lies above resource types: tenants, subscriptions,
// resource groups, listings over all types, providers. ok is false if the path is
// not one of these.
func (s *Server) subscriptions(ctx context.Context, c *Call, segments []string) (ans answer, ok bool, err error) {
	words := make([]string, len(segments))
	for i, segment := range segments {
		words[i] = strings.ToLower(segment)
	}
	serve, subscription := s.find(words, segments)
	if serve == nil {
		return answer{}, false, nil
	}
	if err := checkMethod(words, c.Request.Method); err != nil {
		return answer{}, true, err
	}
	if err := arm.CheckVersion(c.Query("api-version"), "2014-01-01"); err != nil {
		return answer{}, true, err
	}
	if subscription != "" && !strings.EqualFold(subscription, s.Subscription) {
		return answer{}, true, noSubscription(subscription)
	}
	ans, err = serve(ctx, c)
	return ans, true, err
}

// checkMethod: all of these are read, but for a single group and two actions.
func checkMethod(words []string, method string) error {
	n := len(words)
	want := http.MethodGet
	switch {
	case n == 4 && words[2] == "resourcegroups", n > 3 && words[2] == "tagnames":
		return nil
	case n == 5 && (words[4] == "register" || words[4] == "checknameavailability"):
		want = http.MethodPost
	}
	if method == want || method == http.MethodHead && want == http.MethodGet {
		return nil
	}
	return problem.New(problem.NotAllowed, "MethodNotAllowed", "The method %s is not allowed on '/%s'.", method, strings.Join(words, "/"))
}

type serveFunc = func(ctx context.Context, c *Call) (answer, error)

// find is the table of contents of what is not a resource type. words are the
// segments in lower case.
func (s *Server) find(words, segments []string) (serve serveFunc, subscription string) {
	n := len(words)
	switch {
	case n == 1 && words[0] == "tenants":
		return s.tenants, ""
	case n == 1 && words[0] == "subscriptions":
		return s.listSubscriptions, ""
	case n == 2 && words[0] == "subscriptions":
		return s.subscription, segments[1]
	case n < 3 || words[0] != "subscriptions":
		return nil, ""
	}
	scope := arm.SubscriptionID(segments[1])
	switch {
	case n == 3 && words[2] == "locations":
		return s.locations, segments[1]
	case n == 3 && words[2] == "tagnames":
		return s.tagNames, segments[1]
	case n == 4 && words[2] == "tagnames" || n == 6 && words[2] == "tagnames" && words[4] == "tagvalues":
		return s.predefineTags, segments[1]
	case n == 3 && words[2] == "resources":
		return s.resources(scope), segments[1]
	case n == 3 && words[2] == "resourcegroups":
		return s.groups(scope, true), segments[1]
	case n == 3 && words[2] == "providers":
		return s.providers, segments[1]
	case n == 4 && words[2] == "providers":
		return s.provider(segments[3]), segments[1]
	case n == 5 && words[2] == "providers" && words[4] == "register":
		return s.provider(segments[3]), segments[1]
	case n == 5 && words[2] == "providers" && words[4] == "checknameavailability":
		return s.checkName, segments[1]
	case n == 6 && words[2] == "providers" && words[4] == "operations":
		return s.operation(segments[5]), segments[1]
	case n == 4 && words[2] == "resourcegroups":
		return s.groups(arm.GroupID(segments[1], segments[3]), false), segments[1]
	case n == 5 && words[2] == "resourcegroups" && words[4] == "resources":
		return s.resources(arm.GroupID(segments[1], segments[3])), segments[1]
	}
	return nil, ""
}

// page is a list answer.
func page(values ...any) answer {
	if values == nil {
		values = []any{}
	}
	return answer{status: http.StatusOK, body: arm.Page[any]{Value: values}}
}

func (s *Server) tenants(context.Context, *Call) (answer, error) {
	return page(map[string]any{"id": "/tenants/" + s.Issuer.TenantID, "tenantId": s.Issuer.TenantID, "displayName": "Acrux",
		"defaultDomain": "acrux", "tenantCategory": "Home"}), nil
}

// subscriptionName is what the one subscription is called.
const subscriptionName = "Acrux"

func (s *Server) subscriptionBody() map[string]any {
	return map[string]any{"id": "/subscriptions/" + s.Subscription, "subscriptionId": s.Subscription, "tenantId": s.Issuer.TenantID,
		"displayName": subscriptionName, "state": "Enabled", "authorizationSource": "RoleBased", "managedByTenants": []any{},
		"subscriptionPolicies": map[string]any{"locationPlacementId": "Public_2014-09-01", "quotaId": "Acrux", "spendingLimit": "Off"}}
}

// listSubscriptions shows the subscription to those who have any role in it.
func (s *Server) listSubscriptions(ctx context.Context, c *Call) (answer, error) {
	q := rbac.Everywhere(c.Caller.ObjectID)
	q.N = 1
	assignments, err := s.Checker.Store.Assignments(ctx, q)
	if err != nil || len(assignments) == 0 {
		return page(), err
	}
	return page(s.subscriptionBody()), nil
}

func (s *Server) subscription(ctx context.Context, c *Call) (answer, error) {
	visible, err := s.listSubscriptions(ctx, c)
	if err != nil {
		return answer{}, err
	}
	if len(visible.body.(arm.Page[any]).Value) == 0 {
		return answer{}, s.allow(ctx, c, "Microsoft.Resources/subscriptions/read", arm.SubscriptionID(s.Subscription))
	}
	return answer{status: http.StatusOK, body: s.subscriptionBody()}, nil
}

func (s *Server) locations(context.Context, *Call) (answer, error) {
	return page(map[string]any{"id": "/subscriptions/" + s.Subscription + "/locations/" + s.Location, "name": s.Location,
		"displayName": s.Location, "regionalDisplayName": s.Location, "metadata": map[string]any{"regionType": "Physical"}}), nil
}

// groups serves resource groups, whose IDs have no namespace: they go through the
// mounted type all the same.
func (s *Server) groups(id arm.ID, list bool) serveFunc {
	return func(ctx context.Context, c *Call) (answer, error) {
		c.ID = id
		k := s.kinds[groupKind.Key()]
		if list {
			return s.listGroups(ctx, c, k)
		}
		ans, err := s.resource(ctx, c, k)
		if c.Request.Method == http.MethodHead {
			if problem.Is(err, problem.NotFound) {
				return answer{status: http.StatusNotFound}, nil
			}
			ans = answer{status: http.StatusNoContent}
		}
		if ans.status == http.StatusNoContent && c.Request.Method == http.MethodDelete {
			return answer{}, problem.New(problem.NotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", id.Group)
		}
		return ans, err
	}
}

func (s *Server) listGroups(ctx context.Context, c *Call, k *kind) (answer, error) {
	only, err := parseFilter(c.Query("$filter"), "tagName", "tagValue")
	if err != nil {
		return answer{}, err
	}
	terms, err := only.terms()
	if err != nil {
		return answer{}, err
	}
	return s.list(ctx, c, k, terms...)
}

func (s *Server) providers(context.Context, *Call) (answer, error) {
	var values []any
	for _, namespace := range servedNamespaces {
		values = append(values, s.providerBody(namespace))
	}
	return page(values...), nil
}

func (s *Server) provider(namespace string) serveFunc {
	return func(_ context.Context, c *Call) (answer, error) {
		for _, served := range servedNamespaces {
			if strings.EqualFold(served, namespace) {
				return answer{status: http.StatusOK, body: s.providerBody(served)}, nil
			}
		}
		return answer{}, unknownType(arm.Kind{Namespace: namespace})
	}
}

// shownVersions are api-versions that clients may choose from.
var shownVersions = []string{"2025-04-01", "2024-11-30", "2023-07-01", "2022-12-01", "2021-04-01", "2019-06-01-preview"}

func (s *Server) providerBody(namespace string) map[string]any {
	types := []any{}
	for _, k := range s.ordered {
		if strings.EqualFold(k.Namespace, namespace) {
			types = append(types, map[string]any{"resourceType": strings.Join(k.Types, "/"), "apiVersions": shownVersions, "locations": []string{s.Location}})
		}
	}
	return map[string]any{"id": fmt.Sprintf("/subscriptions/%s/providers/%s", s.Subscription, namespace), "namespace": namespace,
		"registrationState": "Registered", "resourceTypes": types}
}

// metadata tells clients about the cloud. It is open to everyone. Its form has
// changed twice; the api-version says which one is meant.
func (s *Server) metadata(r *http.Request) (answer, error) {
	e := s.Endpoints
	version := r.URL.Query().Get("api-version")
	if version == "2015-01-01" {
		return answer{status: http.StatusOK, body: map[string]any{"galleryEndpoint": e.Management, "graphEndpoint": e.Graph, "portalEndpoint": e.Management,
			"authentication": map[string]any{"loginEndpoint": e.Login + "/adfs", "audiences": []string{e.Management}}}}, nil
	}
	cloud := map[string]any{"name": "Acrux", "portal": e.Management, "resourceManager": e.Management,
		"authentication": map[string]any{"loginEndpoint": e.Login + "/adfs", "audiences": []string{e.Management}, "tenant": "adfs", "identityProvider": "ADFS"},
		"graph":          e.Graph, "graphAudience": e.Graph, "microsoftGraphResourceId": e.Graph,
		"batch": e.Management, "media": e.Management, "gallery": e.Management, "vmImageAliasDoc": e.Management, "sqlManagement": e.Management, "activeDirectoryDataLake": e.Management,
		"suffixes": map[string]any{"acrLoginServer": e.ACRSuffix, "keyVaultDns": e.Vault, "storage": e.Storage}}
	if version != "" && version < "2022" {
		return answer{status: http.StatusOK, body: []any{cloud}}, nil
	}
	return answer{status: http.StatusOK, body: cloud}, nil
}

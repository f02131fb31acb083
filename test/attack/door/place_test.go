package door_test

import (
	"strings"
	"testing"
)

// Who owns one group gets nothing out of another, however he spells its path.
func TestPathsToOtherGroups(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "neighbour", "Owner", w.group(group2))
	mine, theirs := w.registry(group2, other), w.registry(group1, first)
	inTheirs := strings.TrimPrefix(theirs, w.group(group1))
	send := func(t *testing.T, method, path string) answer {
		t.Helper()
		a := w.arm(t, p, method, path, "{}")
		if strings.Contains(a.body, `"loginServer":"`+first) {
			t.Errorf("%s shows the registry: %s", a.request, a.body)
		}
		return a
	}
	for name, path := range map[string]string{"plain": mine, "upper case": strings.ToUpper(mine),
		"two slashes":        strings.ReplaceAll(mine, "/", "//"),
		"a slash at the end": mine + "/", "escaped letters": strings.ReplaceAll(mine, "otherreg", "%6ftherreg"),
		"escaped slashes": strings.ReplaceAll(mine, "/registries/", "%2fregistries%2F")} {
		t.Run("control: "+name, func(t *testing.T) { send(t, "GET", path).ok(t) })
	}
	denied := refusal{403, "AuthorizationFailed", "Microsoft.ContainerRegistry/registries/read"}
	missing := refusal{404, "ResourceNotFound", ""}
	nowhere := refusal{404, "NotFound", "names nothing that is served here"}
	upper := "/SUBSCRIPTIONS/" + strings.ToUpper(w.Published.SubscriptionID) + "/RESOURCEGROUPS/G1" +
		strings.ToUpper(inTheirs)
	for _, test := range []struct {
		name, path string
		want       refusal
	}{
		{"plain", theirs, denied},
		{"upper case", upper, denied},
		{"two slashes", strings.ReplaceAll(theirs, "/", "//"), denied},
		{"a slash at the end", theirs + "/", denied},
		{"escaped letters", strings.ReplaceAll(theirs, "firstreg", "%66irstreg"), denied},
		{"escaped slashes", strings.ReplaceAll(theirs, "/providers/", "%2fproviders%2F"), denied},
		{"under one's own group", mine[:len(mine)-len(other)] + first, missing},
		{"up and over", w.group(group2) + "/../" + group1 + inTheirs, nowhere},
		{"up and over, escaped", w.group(group2) + "/%2e%2e/" + group1 + inTheirs, nowhere},
		{"up and over, all escaped", w.group(group2) + "%2f%2e%2e%2f" + group1 + inTheirs, nowhere},
		{"up and over, escaped twice", w.group(group2) + "/%252e%252e/" + group1 + inTheirs, nowhere},
		{"up and over with backslashes", w.group(group2) + "%5c..%5c" + group1 + inTheirs, denied},
		{"up and over from one's own registry", mine + "/../" + first, refusal{501, "NotImplemented", ".."}},
		{"one's own path in front", mine + theirs, refusal{501, "NotImplemented", ""}},
		{"a zero byte", mine + "%00" + theirs, refusal{501, "NotImplemented", ""}},
		{"a semicolon", mine + ";/.." + theirs, refusal{501, "NotImplemented", ""}},
		{"a query in the path", mine + "%3f" + theirs, refusal{501, "NotImplemented", ""}},
		{"another subscription", strings.Replace(theirs, w.Published.SubscriptionID,
			"11111111-0000-4000-8000-000000000001", 1), refusal{404, "SubscriptionNotFound", ""}},
		{"no subscription", inTheirs, nowhere},
		{"an empty group", w.subscription() + "/resourceGroups/" + inTheirs, nowhere},
		{"a group of blanks", w.subscription() + "/resourceGroups/%20" + inTheirs, denied},
		{"the scope of an assignment in front",
			w.group(group2) + "/providers/Microsoft.Authorization/roleAssignments/x" + inTheirs,
			refusal{501, "NotImplemented", ""}},
	} {
		t.Run(test.name, func(t *testing.T) { send(t, "GET", test.path).refused(t, test.want) })
	}
	for action, body := range map[string]string{"listCredentials": "",
		"regenerateCredential": `{"name":"password"}`, "listBuildSourceUploadUrl": "",
		"generateCredentials": `{"tokenId":"` + theirs + `/tokens/none"}`,
		"scheduleRun": `{"type":"EncodedTaskRunRequest","platform":{"os":"linux"},` +
			`"encodedTaskContent":"c3RlcHM6IFtdCg=="}`,
		"importImage": `{"source":{"registryUri":"` + w.login(other) +
			`","sourceImage":"app:1"},"targetTags":["stolen:1"]}`} {
		t.Run("action "+action, func(t *testing.T) {
			w.arm(t, p, "POST", theirs+"/"+action, body).refused(t,
				refusal{403, "AuthorizationFailed", "registries/" + action})
			under := w.arm(t, p, "POST", w.group(group2)+inTheirs+"/"+action, body)
			if action == "generateCredentials" { // it looks at the ID of the token first
				under.refused(t, refusal{400, "InvalidTokenId", ""})
				return
			}
			under.refused(t, missing)
		})
	}
	t.Run("the list of the subscription has one's own", func(t *testing.T) {
		a := send(t, "GET", w.subscription()+"/providers/Microsoft.ContainerRegistry/registries").ok(t)
		if !strings.Contains(a.body, other) || strings.Contains(a.body, first) {
			t.Errorf("the list is %s", a.body)
		}
	})
	t.Run("the list of resources has one's own", func(t *testing.T) {
		a := send(t, "GET", w.subscription()+"/resources").ok(t)
		if !strings.Contains(a.body, other) || strings.Contains(a.body, first) {
			t.Errorf("the list is %s", a.body)
		}
	})
}

// A repository is what its name says and not where dots lead.
func TestPathsInARegistry(t *testing.T) {
	w := shared(t)
	token := w.scopedToken(t, first, "paths", "repositories/app/content/read", "repositories/app/metadata/read")
	access := bearer(w.askPassword(t, first, token, "repository:app:pull,metadata_read").ok(t).text("access_token"))
	get := func(t *testing.T, path string) answer { t.Helper(); return w.v2(t, first, access, "GET", path, "") }
	for _, path := range []string{"/v2/app/manifests/1", "/v2/%61pp/manifests/1", "/acr/v1/app/_tags/1"} {
		t.Run("control: "+path, func(t *testing.T) { get(t, path).ok(t) })
	}
	bad, nowhere := refusal{400, "NAME_INVALID", "invalid repository name"}, refusal{404, "NOT_FOUND", ""}
	denied := refusal{403, "DENIED", "needs 'content/read' on repository 'hidden'"}
	for path, want := range map[string]refusal{
		"/v2/hidden/manifests/1":                denied,
		"/v2/%68idden/manifests/1":              denied,
		"/v2/app/../hidden/manifests/1":         bad,
		"/v2/app%2f..%2fhidden/manifests/1":     bad,
		"/v2/app/%2e%2e/hidden/manifests/1":     bad,
		"/v2/app%5c..%5chidden/manifests/1":     bad,
		"/v2//hidden/manifests/1":               bad,
		"/v2/./hidden/manifests/1":              bad,
		"/v2/HIDDEN/manifests/1":                bad,
		"/v2/hidden%00/manifests/1":             bad,
		"/v2/hidden%20/manifests/1":             bad,
		"/v2/*/manifests/1":                     bad,
		"/v2/app,hidden/manifests/1":            bad,
		"/v2/app/manifests/../../hidden/tags/1": nowhere,
		"/V2/hidden/manifests/1":                nowhere,
		"//v2/hidden/manifests/1":               nowhere,
		"/x/../v2/hidden/manifests/1":           nowhere,
		"/acr/v1/hidden/_tags/1":                {401, "UNAUTHORIZED", "metadata/read"},
		"/acr/v1/app/../hidden/_tags/1":         bad,
		"/acr/v1/_deleted/app/_tags":            {401, "UNAUTHORIZED", "scope maps have no action for it"},
		"/acr/v1/_deleted/_catalog":             {401, "UNAUTHORIZED", "scope maps have no action for it"},
		"/v2/hidden/tags/list":                  denied,
		"/v2/hidden/referrers/" + digestOf("x"): denied,
		"/v2/hidden/blobs/" + digestOf(config):  denied,
	} {
		t.Run(path, func(t *testing.T) { get(t, path).refused(t, want) })
	}
}

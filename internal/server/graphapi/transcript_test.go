package graphapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/server/servertest"
)

// certificate is a self-signed one, in base64 of its DER form.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// What the stock CLI sends for its directory commands, and what it is answered.
func TestTranscript(t *testing.T) {
	w := servertest.New(t)
	tr := w.NewTranscript()
	names := map[string]string{"CERTIFICATE": certificate(t)}
	send := func(title, line, remember string) servertest.Answer {
		method, rest, _ := strings.Cut(line, " ")
		path, body, _ := strings.Cut(rest, " ")
		for name, value := range names {
			path, body = strings.ReplaceAll(path, name, value), strings.ReplaceAll(body, name, value)
		}
		a := w.Graph(w.Admin, method, "/v1.0"+path, body)
		tr.Add(title, line, a)
		for _, name := range strings.Fields(remember) {
			name, member, _ := strings.Cut(name, "=")
			names[name], _ = a.At(member).(string)
		}
		return a
	}
	byName := "?$filter=displayName%20eq%20'X'"
	send("ad sp create-for-rbac: is there one", "GET /servicePrincipals"+byName, "")
	send("ad sp create-for-rbac: is there an application", "GET /applications"+byName, "")
	send("ad sp create-for-rbac: application", `POST /applications {"displayName":"X","keyCredentials":[]}`, "APP=id CLIENT=appId")
	send("ad sp create-for-rbac: secret", `POST /applications/APP/addPassword {"passwordCredential":{"displayName":"rbac","endDateTime":"2099-01-01T00:00:00Z","startDateTime":"2026-01-01T00:00:00Z"}}`, "SECRET=secretText KEY=keyId")
	send("ad sp create-for-rbac: service principal", `POST /servicePrincipals {"appId":"CLIENT","accountEnabled":true}`, "PRINCIPAL=id")
	send("ad sp create-for-rbac again: it is there", "GET /servicePrincipals"+byName, "")
	send("ad sp create-for-rbac again: its secret goes", `POST /applications/APP/removePassword {"keyId":"KEY"}`, "")
	send("ad sp show", "GET /servicePrincipals/PRINCIPAL", "")
	send("ad sp credential reset --create-cert", `PATCH /servicePrincipals/PRINCIPAL {"keyCredentials":[{"@odata.type":"#microsoft.graph.keyCredential","displayName":null,"endDateTime":"2099-01-01T00:00:00Z","key":"CERTIFICATE","keyId":"aaaaaaaa-0000-4000-8000-000000000001","startDateTime":"2026-01-01T00:00:00Z","type":"AsymmetricX509Cert","usage":"Verify"}]}`, "")
	app := send("ad app show", "GET /applications/APP", "")
	key, _ := app.At("keyCredentials").([]any)[0].(map[string]any)
	names["KEEP"], _ = key["keyId"].(string)
	send("ad sp credential reset --create-cert --append: what is there comes back", `PATCH /applications/APP {"keyCredentials":[{"keyId":"KEEP","key":null,"type":"AsymmetricX509Cert","usage":"Verify"}]}`, "")
	if again := w.Graph(w.Admin, "GET", "/v1.0/applications/"+names["APP"], ""); len(again.At("keyCredentials").([]any)) != 1 {
		t.Errorf("the certificate was not kept: %s", again.Body)
	}
	send("ad app federated-credential create", `POST /applications/APP/federatedIdentityCredentials {"name":"github","issuer":"https://token.actions.githubusercontent.com","subject":"repo:o/r:ref:refs/heads/main","audiences":["api://AzureADTokenExchange"]}`, "TRUST=id")
	send("ad app federated-credential create again", `POST /applications/APP/federatedIdentityCredentials {"name":"other","issuer":"https://token.actions.githubusercontent.com","subject":"repo:o/r:ref:refs/heads/main","audiences":["api://AzureADTokenExchange"]}`, "")
	send("ad app federated-credential update", `PATCH /applications/APP/federatedIdentityCredentials/TRUST {"subject":"repo:o/r:environment:prod","description":"d"}`, "")
	send("ad app federated-credential show", "GET /applications/APP/federatedIdentityCredentials/github", "")
	send("ad app federated-credential list", "GET /applications/APP/federatedIdentityCredentials", "")
	send("ad app federated-credential delete", "DELETE /applications/APP/federatedIdentityCredentials/TRUST", "")
	send("ad app update --display-name", `PATCH /applications/APP {"displayName":"Y"}`, "")
	send("role assignment list: names", `POST /directoryObjects/getByIds {"ids":["PRINCIPAL","aaaaaaaa-0000-4000-8000-00000000000f"],"types":["user","group","servicePrincipal","directoryObjectPartnerReference"]}`, "")
	send("ad sp owner list", "GET /servicePrincipals/PRINCIPAL/owners", "")
	send("ad sp list --show-mine", "GET /me/ownedObjects", "")
	send("ad sp delete", "DELETE /servicePrincipals/PRINCIPAL", "")
	send("ad sp delete again", "DELETE /servicePrincipals/PRINCIPAL", "")
	send("ad app delete", "DELETE /applications/APP", "")
	send("ad signed-in-user show, by an application", "GET /me", "")
	send("ad user create", `POST /users {"accountEnabled":true,"displayName":"Anna","mailNickname":"anna","passwordProfile":{"forceChangePasswordNextSignIn":false,"password":"correct horse"},"userPrincipalName":"Anna@acrux.test"}`, "")
	send("ad user create again", `POST /users {"accountEnabled":true,"displayName":"Anna","mailNickname":"anna","passwordProfile":{"forceChangePasswordNextSignIn":false,"password":"correct horse"},"userPrincipalName":"anna@acrux.test"}`, "")
	send("ad user update", `PATCH /users/anna@acrux.test {"accountEnabled":false,"passwordProfile":{"forceChangePasswordNextSignIn":false,"password":"battery staple"}}`, "")
	send("ad user show", "GET /users/anna@acrux.test", "")
	send("ad user list --upn", "GET /users?$filter=userPrincipalName%20eq%20'anna@acrux.test'", "")
	send("ad user delete", "DELETE /users/anna@acrux.test", "")
	send("ad group list", "GET /groups", "")
	servertest.Golden(t, "transcript.golden", tr.String())
	if strings.Contains(tr.String(), names["SECRET"]) {
		t.Error("the secret is in the transcript")
	}
}

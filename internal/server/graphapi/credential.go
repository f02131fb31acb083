package graphapi

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
)

// keyCredential is a certificate as clients send it. Those that are there already come
// back without their bytes.
type keyCredential struct {
	KeyID       string     `json:"keyId"`
	DisplayName string     `json:"displayName"`
	Type        string     `json:"type"`
	Usage       string     `json:"usage"`
	Key         string     `json:"key"` // base64 of DER
	Start       *time.Time `json:"startDateTime"`
	End         *time.Time `json:"endDateTime"`
}

// passwordCredential is a secret as clients ask for it.
type passwordCredential struct {
	DisplayName string     `json:"displayName"`
	Start       *time.Time `json:"startDateTime"`
	End         *time.Time `json:"endDateTime"`
}

// addCredentials adds an application's credentials to its properties, without what they
// consist of.
func (c *call) addCredentials(properties map[string]any, id identity.ClientID) error {
	all, err := c.server.Directory.Credentials(c.Context(), id)
	passwords, keys := []any{}, []any{}
	for _, credential := range all {
		if credential.Kind == identity.Secret {
			passwords = append(passwords, passwordBody(credential))
		} else {
			keys = append(keys, keyBody(credential))
		}
	}
	properties["passwordCredentials"], properties["keyCredentials"] = passwords, keys
	return err
}

func passwordBody(c identity.Credential) map[string]any {
	return map[string]any{"customKeyIdentifier": nil, "displayName": c.DisplayName, "startDateTime": stamp(c.Start), "endDateTime": stamp(c.End),
		"hint": c.Hint, "keyId": c.KeyID, "secretText": nil}
}

func keyBody(c identity.Credential) map[string]any {
	thumbprint, _ := c.Thumbprints()
	return map[string]any{"customKeyIdentifier": fmt.Sprintf("%X", thumbprint), "displayName": c.DisplayName, "startDateTime": stamp(c.Start), "endDateTime": stamp(c.End),
		"key": nil, "keyId": c.KeyID, "type": "AsymmetricX509Cert", "usage": "Verify"}
}

// secretLife is how long a secret counts if the request does not say.
const secretLife = 2 * 365 * 24 * time.Hour

// times are those of a credential, with what the request leaves out.
func times(start, end *time.Time, now time.Time) (from, to time.Time, err error) {
	from = now
	if start != nil {
		from = *start
	}
	if end != nil {
		to = *end
	}
	if end != nil && (!to.After(from) || !to.After(now)) {
		return from, to, badRequest("The endDateTime %s of the credential is over, or before its startDateTime.", to.UTC().Format(time.RFC3339)).On("endDateTime")
	}
	return from, to, nil
}

// addPassword makes a secret, which is shown this once.
func (c *call) addPassword(find func() (identity.Registration, error)) (answer, error) {
	var body struct {
		Password passwordCredential `json:"passwordCredential"`
	}
	if err := c.read(&body, nil, "passwordCredential"); err != nil {
		return answer{}, err
	}
	app, err := c.mine(find)
	if err != nil {
		return answer{}, err
	}
	credential := identity.Credential{DisplayName: body.Password.DisplayName}
	if credential.DisplayName != "" {
		if err := checkName(credential.DisplayName); err != nil {
			return answer{}, err
		}
	}
	if credential.Start, credential.End, err = times(body.Password.Start, body.Password.End, c.now); err != nil {
		return answer{}, err
	}
	if credential.End.IsZero() {
		credential.End = credential.Start.Add(secretLife)
	}
	credential, text, err := c.server.Directory.AddSecret(c.Context(), app.ClientID, credential)
	if err != nil {
		return answer{}, err
	}
	shown := passwordBody(credential)
	shown["secretText"], shown["@odata.context"] = text.Reveal(), c.base+"/$metadata#microsoft.graph.passwordCredential"
	return ok(shown), nil
}

func (c *call) removePassword(find func() (identity.Registration, error)) (answer, error) {
	var body struct {
		KeyID string `json:"keyId"`
	}
	if err := c.read(&body, nil, "keyId"); err != nil {
		return answer{}, err
	}
	app, err := c.mine(find)
	if err != nil {
		return answer{}, err
	}
	err = c.server.Directory.RemoveSecret(c.Context(), app.ClientID, body.KeyID)
	if orNobody(err) == nil && err != nil {
		return answer{}, badRequest("No password credential found with keyId '%s'.", body.KeyID).On("keyId")
	}
	return done, err
}

// setKeys replaces the certificates of an application.
func (c *call) setKeys(app identity.Registration, keys []keyCredential) error {
	if err := c.mayManage(app); err != nil {
		return err
	}
	certificates, err := readKeys(&keys, c.now)
	if err != nil {
		return err
	}
	return c.server.Directory.SetCertificates(c.Context(), app.ClientID, certificates)
}

func readKeys(keys *[]keyCredential, now time.Time) ([]identity.Credential, error) {
	if keys == nil {
		return nil, nil
	}
	credentials := make([]identity.Credential, len(*keys))
	for i, key := range *keys {
		if key.Type != "" && key.Type != "AsymmetricX509Cert" || key.Usage != "" && key.Usage != "Verify" {
			return nil, badRequest("A key credential of type '%s' and usage '%s' is not supported: it is 'AsymmetricX509Cert' for 'Verify'.", key.Type, key.Usage).On("keyCredentials")
		}
		der, err := base64.StdEncoding.DecodeString(key.Key)
		if err != nil {
			return nil, badRequest("The 'key' of a key credential must be base64.").On("keyCredentials").Because(err)
		}
		start, end := key.Start, key.End
		if len(der) == 0 {
			start, end = nil, nil // one that is there, and perhaps over
		}
		c := identity.Credential{KeyID: key.KeyID, DisplayName: key.DisplayName, Certificate: der}
		if c.Start, c.End, err = times(start, end, now); err != nil {
			return nil, err
		}
		credentials[i] = c
	}
	return credentials, nil
}

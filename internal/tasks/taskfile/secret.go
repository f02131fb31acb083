package taskfile

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// Secret is a secret of a key vault that a task file declares.
type Secret struct {
	ID       string // as .Secrets knows it
	Vault    string // base URL: https://name.vault.azure.net
	Name     string
	Version  string // empty is the current one
	Audience string // of the token: https://vault.azure.net
	ClientID string // of a user-assigned identity; empty is the system-assigned one
}

func (d *document) checkSecrets(found *findings) {
	seen := map[string]bool{}
	for i, secret := range d.Secrets {
		at := keyPath("secrets").item(i)
		if secret == nil || secret.ID == "" {
			found.add(at, errors.New("secret is missing an ID as well as auto-generated ID"))
			continue
		}
		if key, err := secret.check(); err != nil {
			found.add(at.key(key), fmt.Errorf("failed to validate secret with ID: %s: %w", secret.ID, err))
		}
		if seen[secret.ID] {
			found.add(at.key("id"), fmt.Errorf("duplicate secret found with ID: %s", secret.ID))
		}
		seen[secret.ID] = true
	}
}

// check applies the rules that concern a secret alone, and names the key at fault.
func (s *secretDocument) check() (key string, err error) {
	switch {
	case strings.ContainsFunc(s.ID, unicode.IsSpace):
		return "id", errors.New("secret ID cannot contain spaces")
	case s.KeyVault == "":
		return "keyvault", errors.New("secret should contain either keyvault property for vault secret, or msi clientID/aadResourceId for msi authentication")
	case s.ClientID != "" && uuid.Validate(s.ClientID) != nil:
		return "clientID", errors.New("msi client ID is not a valid guid")
	}
	return "", nil
}

// ParseSecretURL reads the URL of a vault secret.
func ParseSecretURL(text string) (Secret, error) {
	text = strings.TrimSuffix(strings.ToLower(text), "/")
	u, err := url.Parse(text)
	if err != nil {
		return Secret{}, fmt.Errorf("invalid azure keyvault secret URL: %w", err)
	}
	if u.Scheme != "https" {
		return Secret{}, errors.New("invalid azure keyvault secret URL scheme. Expected Https")
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) != 3 && len(parts) != 4 {
		return Secret{}, fmt.Errorf("invalid azure keyvault secret URL. Bad number of URL segments: %d", len(parts))
	}
	if parts[1] != "secrets" {
		return Secret{}, fmt.Errorf("invalid azure keyvault secret URL. Expected 'secrets' collection, but found: %s", parts[1])
	}
	_, domain, found := strings.Cut(u.Host, ".")
	if !found {
		return Secret{}, fmt.Errorf("extracted vault resource %s from vault URL %s is invalid", u.Host, text)
	}
	secret := Secret{Vault: "https://" + u.Host, Name: parts[2], Audience: "https://" + domain}
	if len(parts) == 4 {
		secret.Version = parts[3]
	}
	return secret, nil
}

// Secrets are fetched a few at a time, each group within a limit.
const (
	secretGroup = 5
	secretLimit = 2 * time.Minute
)

// resolveSecrets renders the text without secrets, finds those it declares and
// fetches them. Texts that never mention secrets are left alone.
func resolveSecrets(ctx context.Context, text sourced, data map[string]any, in *Input) (map[string]string, error) {
	if !strings.Contains(text.text, "secrets") {
		return nil, nil
	}
	rendered, err := expand(in.Name, text, secretless(data))
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(rendered)
	if in.lint {
		return placeholders(doc), nil
	}
	if err == nil {
		var found findings
		doc.check(&found)
		err = found.first(rendered)
	}
	if err != nil {
		return nil, fmt.Errorf(secretsStage+"%w", err)
	}
	values, err := fetchSecrets(ctx, doc.Secrets, in)
	if err != nil {
		return nil, fmt.Errorf("failed to resolve secrets in the task with error: %w", err)
	}
	return values, nil
}

// placeholders are texts for the secrets of a document that may be nil.
func placeholders(doc *document) map[string]string {
	texts := map[string]string{}
	if doc != nil {
		for _, secret := range doc.Secrets {
			if secret != nil {
				texts[secret.ID] = "secret"
			}
		}
	}
	return texts
}

func fetchSecrets(ctx context.Context, declared []*secretDocument, in *Input) (map[string]string, error) {
	values := map[string]string{}
	for len(declared) > 0 {
		group := declared[:min(secretGroup, len(declared))]
		declared = declared[len(group):]
		texts, err := fetchGroup(ctx, group, in)
		if err != nil {
			return nil, err
		}
		for i, secret := range group {
			values[secret.ID] = texts[i]
		}
	}
	return values, nil
}

func fetchGroup(ctx context.Context, group []*secretDocument, in *Input) ([]string, error) {
	limit := errors.New("timeout in fetching secrets. please check permissions are valid")
	limited, cancel := context.WithTimeoutCause(ctx, secretLimit, limit)
	defer cancel()
	fetches, fetchCtx := errgroup.WithContext(limited)
	texts := make([]string, len(group))
	for i, declared := range group {
		fetches.Go(func() (err error) {
			texts[i], err = fetchSecret(fetchCtx, declared, in)
			return err
		})
	}
	err := fetches.Wait()
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, limit
	}
	return texts, err
}

func fetchSecret(ctx context.Context, declared *secretDocument, in *Input) (string, error) {
	secret, err := ParseSecretURL(declared.KeyVault)
	if err != nil {
		return "", err
	}
	if in.Secret == nil {
		return "", fmt.Errorf("reading %s: key vault secrets are not supported here", declared.KeyVault)
	}
	secret.ID, secret.ClientID = declared.ID, declared.ClientID
	return in.Secret(ctx, secret)
}

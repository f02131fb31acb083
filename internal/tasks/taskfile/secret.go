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

func (d *document) checkSecrets() error {
	seen := map[string]bool{}
	for _, secret := range d.Secrets {
		if secret == nil || secret.ID == "" {
			return errors.New("secret is missing an ID as well as auto-generated ID")
		}
		if err := secret.check(); err != nil {
			return fmt.Errorf("failed to validate secret with ID: %s: %w", secret.ID, err)
		}
		if seen[secret.ID] {
			return fmt.Errorf("duplicate secret found with ID: %s", secret.ID)
		}
		seen[secret.ID] = true
	}
	return nil
}

func (s *secretDocument) check() error {
	switch {
	case strings.ContainsFunc(s.ID, unicode.IsSpace):
		return errors.New("secret ID cannot contain spaces")
	case s.KeyVault == "":
		return errors.New("secret should contain either keyvault property for vault secret, or msi clientID/aadResourceId for msi authentication")
	case s.ClientID != "" && uuid.Validate(s.ClientID) != nil:
		return errors.New("msi client ID is not a valid guid")
	}
	return nil
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
func resolveSecrets(ctx context.Context, text string, data map[string]any, in *Input) (map[string]string, error) {
	if !strings.Contains(text, "secrets") {
		return nil, nil
	}
	rendered, err := execute(in.Name, text, secretless(data))
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(rendered)
	if err == nil {
		err = doc.check()
	}
	if err != nil {
		return nil, fmt.Errorf("failed to resolve secrets in the task with error: failed to parse template to create task: %w", err)
	}
	values, err := fetchSecrets(ctx, doc.Secrets, in)
	if err != nil {
		return nil, fmt.Errorf("failed to resolve secrets in the task with error: %w", err)
	}
	return values, nil
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

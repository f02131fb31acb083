package acrtool

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
)

// loginServer is the host of a registry: as it is given, or for a name beside the run's own. For
// Azure's tool a name alone is below azurecr.io.
func loginServer(given, ofRun string) (string, error) {
	switch {
	case given == "" && ofRun == "":
		return "", problem.New(problem.Invalid, "NoRegistry", "it is not known which registry is meant").Hint("give its login server: --registry HOST")
	case given == "":
		return ofRun, nil
	case strings.ContainsAny(given, ".:"):
		return strings.ToLower(given), nil
	}
	_, suffix, found := strings.Cut(ofRun, ".")
	if !found {
		suffix = "azurecr.io"
	}
	return strings.ToLower(given) + "." + suffix, nil
}

// configured is the credential that docker's configuration has for a host.
func (t *tool) configured(host string) (user string, password secret.String, err error) {
	files := t.configs
	if len(files) == 0 {
		files = []string{t.usualConfig()}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && len(t.configs) == 0 {
			break
		}
		if err != nil {
			return "", secret.String{}, fmt.Errorf("reading docker's configuration: %w", err)
		}
		user, password, found, err := credentialIn(text, host)
		if err != nil {
			return "", secret.String{}, fmt.Errorf("reading docker's configuration %s: %w", file, err)
		}
		if found {
			return user, password, nil
		}
	}
	return "", secret.String{}, problem.New(problem.Unauthenticated, "NoCredential", "docker's configuration has no credential for %s", host).
		Hint("in a task: az acr task credential add --name TASK --registry REGISTRY --login-server %s --use-identity [system]", host).
		Hint("or give --username and --password")
}

func (t *tool) usualConfig() string {
	if dir := t.getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	return filepath.Join(t.getenv("HOME"), ".docker", "config.json")
}

// credentialIn reads docker's configuration (docker login's auths).
func credentialIn(text []byte, host string) (user string, password secret.String, found bool, err error) {
	var config struct {
		Auths map[string]struct{ Auth, Username, Password, IdentityToken string }
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", secret.String{}, false, err
	}
	for key, auth := range config.Auths {
		key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
		if name, _, _ := strings.Cut(key, "/"); !strings.EqualFold(name, host) {
			continue
		}
		if auth.IdentityToken != "" {
			return oci.RefreshUser, secret.New(auth.IdentityToken), true, nil
		}
		if auth.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(auth.Auth)
			if err != nil {
				return "", secret.String{}, false, fmt.Errorf("the credential for %s: %w", host, err)
			}
			auth.Username, auth.Password, _ = strings.Cut(string(plain), ":")
		}
		return auth.Username, secret.New(auth.Password), true, nil
	}
	return "", secret.String{}, false, nil
}

package engine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// dockerConfig is the configuration of docker clients in the run's home. It holds
// the run's logins, so that tools in steps are logged in as well.
type dockerConfig struct {
	dir string

	Experimental string            `json:"experimental"`
	HTTPHeaders  map[string]string `json:"HttpHeaders"`
	Auths        map[string]auth   `json:"auths,omitempty"`
}

type auth struct {
	Auth string `json:"auth"`
}

func newDockerConfig(home string) *dockerConfig {
	return &dockerConfig{
		dir:          filepath.Join(home, ".docker"),
		Experimental: "enabled",
		HTTPHeaders:  map[string]string{"X-Meta-Source-Client": "azure/acr/tasks"},
		Auths:        map[string]auth{},
	}
}

func (c *dockerConfig) login(registry string, credential Credential) error {
	c.Auths[registry] = auth{DockerAuth(credential)}
	return c.write()
}

// DockerAuth is a credential as docker's configuration has it. It is as secret as
// the password.
func DockerAuth(credential Credential) string {
	text := credential.Username + ":" + credential.Password.Reveal()
	return base64.StdEncoding.EncodeToString([]byte(text))
}

// write is called before the first step, so nobody else has touched the home yet. Every user
// of an image may read it; on the machine the home lies where only its owner may go.
func (c *dockerConfig) write() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("setting up the docker configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "config.json"), text, 0o644); err != nil {
		return fmt.Errorf("setting up the docker configuration: %w", err)
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
)

// checkHealth looks whether this machine can work with registries, one step after the
// other as a client takes them.
func checkHealth(ctx context.Context, c *call) (any, error) {
	checks := []check{{"Docker daemon status", dockerStatus}}
	if c.text("name") != "" {
		h, err := c.host(ctx, c.text("name"))
		if err != nil {
			return nil, err
		}
		checks = append(checks, c.registryChecks(h)...)
	}
	failed := false
	for _, check := range checks {
		found, err := check.look(ctx)
		switch {
		case err == nil:
			c.warn("%s: %s", check.name, found)
		case !c.toggle("ignore-errors"):
			return nil, inStep(check.name, err)
		default:
			failed = true
			report(c.stderr, inStep(check.name, err))
		}
	}
	if failed {
		return nil, exitError(exitFailed)
	}
	return nil, nil
}

// registryChecks are the steps at a registry: as this client takes them, and as docker does.
func (c *call) registryChecks(h host) []check {
	var date string // that the registry's answer has
	return []check{
		{fmt.Sprintf("Fetch refresh token for registry '%s'", h.server), func(ctx context.Context) (string, error) {
			_, err := c.client.RefreshToken(ctx, h.server)
			return "OK", err
		}},
		{fmt.Sprintf("Fetch access token for registry '%s'", h.server), func(ctx context.Context) (string, error) {
			res, err := h.do(ctx, "GET", "/v2/", oci.Access{Type: "registry", Name: "None", Actions: []oci.Action{"*"}}, nil, nil)
			date = res.Header.Get("Date")
			return "OK", err
		}},
		{"Clock", func(context.Context) (string, error) { return checkClock(date, time.Now()) }},
		{fmt.Sprintf("Name and certificate of '%s' for docker and podman", h.server), c.containerClients(nameOfServer(h.server)).look(h.server)},
	}
}

// nameOfServer is the name of a registry of which the login server is known.
func nameOfServer(server string) string {
	name, _, _ := strings.Cut(server, ".")
	return name
}

// inStep is an error of a step, with its hints.
func inStep(step string, err error) error {
	var p *problem.Error
	if errors.As(err, &p) {
		told := *p
		told.Message = step + ": " + p.Message
		return &told
	}
	return fmt.Errorf("%s: %w", step, err)
}

// check is one step of a check of health.
type check struct {
	name string
	look func(ctx context.Context) (string, error)
}

// dockerStatus says whether there is a docker that works. Acrux needs none.
func dockerStatus(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return "not installed (Acrux needs none)", nil
	}
	if err := exec.CommandContext(ctx, "docker", "ps", "--quiet").Run(); err != nil {
		return "not available (Acrux needs none)", nil
	}
	return "available", nil
}

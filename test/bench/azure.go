package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// requests measures what the management host takes for a request, as a client on the
// same machine sees it over a connection that is open: the server's time is less.
func (b *bench) requests() error {
	group := "/subscriptions/" + b.server.Published.SubscriptionID + "/resourceGroups/g"
	registry := group + "/providers/Microsoft.ContainerRegistry/registries/myregistry"
	for _, request := range []struct{ what, method, path string }{
		{"GET of a task", "GET", registry + "/tasks/hello"},
		{"list of all resources of a type", "GET", group[:strings.LastIndex(group, "/resourceGroups")] + "/resources?$filter=resourceType%20eq%20'Microsoft.ContainerRegistry/registries'"},
		{"PATCH of a registry", "PATCH", registry},
	} {
		var all []time.Duration
		for i := range 200 {
			var body any
			if request.method == "PATCH" {
				body = map[string]any{"tags": map[string]string{"n": fmt.Sprint(i)}}
			}
			began := time.Now()
			if _, err := b.client.Do(context.Background(), request.method, request.path, "2023-07-01", body, nil); err != nil {
				return err
			}
			all = append(all, time.Since(began))
		}
		row(request.what+", p50 of 200", fmt.Sprintf("%.1f ms", float64(median(all).Microseconds())/1000), "3 ms")
	}
	return nil
}

// azure measures the same command with the stock Azure CLI, where that is installed, and
// with acrux. The names it needs stand in a hosts file of its own, in a mount namespace.
func (b *bench) azure() error {
	az, err := exec.LookPath("az")
	if err != nil {
		row("acrux beside the stock az", "no az here", "10 x")
		return nil
	}
	hosts := filepath.Join(b.dir, "hosts")
	text, err := os.ReadFile("/etc/hosts")
	if err == nil {
		err = os.WriteFile(hosts, text, 0o644)
	}
	if err != nil {
		return err
	}
	prepare, err := exec.Command(b.program, "env", "--data", b.server.Data, "--az", "--install-hosts", "--hosts-file", hosts).Output()
	if err != nil {
		return fmt.Errorf("acrux env: %w", err)
	}
	environ := append(os.Environ(), "AZURE_CONFIG_DIR="+filepath.Join(b.dir, "azure"), "AZURE_CORE_COLLECT_TELEMETRY=no", "AZURE_CORE_CHECK_UPDATE=no")
	shell := func(script string) error {
		cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", `mount --bind "$0" /etc/hosts; eval "$1"; `+script, hosts, string(prepare))
		cmd.Env = environ
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", script, err, out)
		}
		return nil
	}
	// What it prints are times in milliseconds, one for each time the command ran.
	log := filepath.Join(b.dir, "az.times")
	const command = "acr task show --registry myregistry --name hello"
	err = shell(`for i in 1 2 3 4 5 6; do a=$(date +%s%N); ` + az + " " + command + ` >/dev/null; b=$(date +%s%N); echo $(( (b-a)/1000000 )); done > ` + log)
	if err != nil {
		return err
	}
	theirs, err := times(log)
	if err != nil {
		return err
	}
	var ours []time.Duration
	for range 20 {
		d, err := b.az(strings.Fields(command)...)
		if err != nil {
			return err
		}
		ours = append(ours, d)
	}
	a, o := median(theirs), median(ours)
	row(fmt.Sprintf("acr task show: az %s, acrux %s", ms(a), ms(o)), fmt.Sprintf("%.0f x", float64(a)/float64(o)), "10 x")
	return nil
}

// times reads durations in milliseconds, a line each, without the first, which warms up.
func times(file string) ([]time.Duration, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []time.Duration
	for _, word := range strings.Fields(string(text)) {
		d, err := time.ParseDuration(word + "ms")
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	if len(all) < 2 {
		return nil, errors.New("too few times were taken")
	}
	return all[1:], nil
}

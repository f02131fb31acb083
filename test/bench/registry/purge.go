package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/acrux/acrux/internal/registry"
)

// purges measures a purge of 100,000 tags, which is asked for again while there is more.
func (b *bench) purges(table *tabwriter.Writer, a *acrux) error {
	const repository, n = "bench/purge", 100_000
	a, err := a.at(repository)
	if err != nil {
		return err
	}
	if _, err := b.load(a, "fill", "-n", "1", "-c", "1", "-repo", repository, "-prefix", "first"); err != nil {
		return err
	}
	if err := seed(a.Data, registry.Name{Registry: registryName, Repository: repository}, n); err != nil {
		return err
	}
	before, began := memory(a.pid()), time.Now()
	requests, deleted, longest := 0, 0, time.Duration(0)
	for more := true; more; requests++ {
		asked := time.Now()
		var out struct {
			Tags []string `json:"tagsDeleted"`
			More bool     `json:"more"`
		}
		if err := a.purge(repository, &out); err != nil {
			return err
		}
		deleted, more, longest = deleted+len(out.Tags), out.More, max(longest, time.Since(asked))
	}
	fmt.Fprintf(table, "purge of %d tags, %d requests\t\t%.1f s, longest %.1f s\t\t17 s\t\n", deleted, requests, time.Since(began).Seconds(), longest.Seconds())
	fmt.Fprintf(table, "memory before it and after\t\t%s; %s\t\t1.2 ×\t\n", before, memory(a.pid()))
	return nil
}

func (a *acrux) purge(repository string, out any) error {
	body := strings.NewReader(`{"filter": ".*", "before": "2999-01-01T00:00:00Z"}`)
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/acr/v1/%s/_purge", a.plain, repository), body)
	if err != nil {
		return err
	}
	text, err := a.do(req)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

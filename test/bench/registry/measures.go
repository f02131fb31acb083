package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

// memory is what a process has of its own, and with the pages of its program.
func memory(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // shown only
	kib := func(name string) int {
		var n int
		if m := regexp.MustCompile(name + `:\s+(\d+)`).FindSubmatch(text); m != nil {
			_, _ = fmt.Sscan(string(m[1]), &n)
		}
		return n
	}
	return fmt.Sprintf("%d MiB, of them %d its own; at most %d", kib("VmRSS")/1024, kib("RssAnon")/1024, kib("VmHWM")/1024)
}

// tokens measures signing in: an exchange and an access token, over and over.
func (b *bench) tokens(table *tabwriter.Writer, a *acrux) error {
	const workers, span = 8, 4 * time.Second
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	began := time.Now()
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := a.signIn(ctx, client, "bench/load"); err != nil && ctx.Err() == nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Fprintf(table, "token exchange + access token, client not pinned\t\t%.0f/s\t\t2,000/s\t\n", float64(done.Load())/time.Since(began).Seconds())
	return nil
}

// imports measures an import of 1 GiB between two registries of the server.
func (b *bench) imports(table *tabwriter.Writer, a *acrux) error {
	a, err := a.at("bench/large")
	if err != nil {
		return err
	}
	if err := a.pushLarge("bench/large"); err != nil {
		return err
	}
	target := "/subscriptions/" + a.Published.SubscriptionID + "/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/" + otherName
	source := strings.TrimSuffix(target, otherName) + registryName
	body := fmt.Sprintf(`{"source":{"resourceId":%q,"sourceImage":"bench/large:large"},"targetTags":["large:1"],"mode":"Force"}`, source)
	var all []time.Duration
	for range 9 {
		began := time.Now()
		req, err := http.NewRequest(http.MethodPost, "http://"+a.plain+target+"/importImage?api-version=2023-07-01", strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Host = "management." + a.Published.Suffix()
		req.Header.Set("Authorization", "Bearer "+a.identity)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		text, _ := io.ReadAll(res.Body) // told only
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("the import: %s %s", res.Status, text)
		}
		all = append(all, time.Since(began))
	}
	fmt.Fprintf(table, "import of 1 GiB between two registries, p50\t\t%.1f ms\t\t50 ms\t\n", float64(middle(all).Microseconds())/1000)
	return nil
}

func middle(all []time.Duration) time.Duration { return at(all, 50) }

// at is a percentile.
func at(all []time.Duration, percent int) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[min(len(all)-1, len(all)*percent/100)]
}

// transfers measures memory while 20 clients fetch 1 GiB.
func (b *bench) transfers(table *tabwriter.Writer, a *acrux) error {
	before := memory(a.pid())
	r, err := b.load(a, "blob", "-size", "1GiB", "-c", "20", "-d", "6s", "-repo", "bench/load")
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "memory after the loads above\t\t%s\t\t64 MiB\t\n", before)
	fmt.Fprintf(table, "memory while 20 clients fetch 1 GiB\t\t%s, %.0f MB/s\t\t64 MiB above idle\t\n", memory(a.pid()), r.MBPerSec)
	return nil
}

// tags measures repositories of 100,000 and 1,000,000 tags, which are written into the
// database beside the running server.
func (b *bench) tags(table *tabwriter.Writer, a *acrux) error {
	for _, test := range []struct {
		repository string
		n          int
		promised   string
	}{{"bench/tags100k", 100_000, "p50 0.5 ms"}, {"bench/tags1m", 1_000_000, "p99 10 ms"}} {
		a, err := a.at(test.repository)
		if err != nil {
			return err
		}
		if _, err := b.load(a, "fill", "-n", "1", "-c", "1", "-repo", test.repository, "-prefix", "first"); err != nil {
			return err
		}
		if err := seed(a.Data, registry.Name{Registry: registryName, Repository: test.repository}, test.n); err != nil {
			return err
		}
		pages, err := a.pages(test.repository, test.n)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "page of 100 tags among %d\t\tp50 %.2f ms, p99 %.2f ms\t\t%s\t\n", test.n, float64(middle(pages).Microseconds())/1000, float64(at(pages, 99).Microseconds())/1000, test.promised)
		r, err := b.load(a, "fill", "-n", "3000", "-c", "1", "-repo", test.repository, "-prefix", "more")
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "put one tag, %d present, one connection\t\t%.0f/s\t\t1,000/s\t%.0f %%\n", test.n, r.OpsPerSec, r.OtherCPU)
	}
	return nil
}

// seed tags whatever is in the repository.
func seed(data string, name registry.Name, n int) (err error) {
	ctx := context.Background()
	db, err := sqlstore.OpenShared(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store := sqlstore.Registry{DB: db}
	all, err := store.Manifests(ctx, name, registry.ManifestQuery{})
	if err != nil || len(all) == 0 {
		return errors.Join(err, errors.New("there is nothing to tag"))
	}
	const batch = 2000
	for from := 0; from < n; from += batch {
		err := store.InTx(ctx, func(ctx context.Context) error {
			for i := from; i < min(from+batch, n); i++ {
				if err := store.PutTag(ctx, name, fmt.Sprintf("t%07d", i), all[0].Digest, time.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond) // the server wants to write as well
	}
	return nil
}

// pages fetches pages from anywhere in the list.
func (a *acrux) pages(repository string, n int) ([]time.Duration, error) {
	var all []time.Duration
	for range 500 {
		req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/v2/%s/tags/list?n=100&last=t%07d", a.plain, repository, rand.IntN(n)), nil)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if _, err := a.do(req); err != nil {
			return nil, err
		}
		all = append(all, time.Since(began))
	}
	return all, nil
}

// do sends a request with the token to the registry and reads the answer.
func (a *acrux) do(req *http.Request) ([]byte, error) {
	req.Host = a.host()
	req.Header.Set("Authorization", "Bearer "+a.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s %s", req.Method, req.URL.Path, res.Status, text)
	}
	return text, err
}

// pushLarge pushes an image of 8 layers and 1 GiB.
func (a *acrux) pushLarge(repository string) error {
	const layers, size = 8, 128 << 20
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	parts := []string{}
	for i := range layers + 1 {
		content := func() io.Reader {
			return io.LimitReader(io.MultiReader(strings.NewReader(fmt.Sprint(i)), zeros{}), size)
		}
		mediaType := "application/vnd.oci.image.layer.v1.tar"
		if i == layers {
			content, mediaType = func() io.Reader { return bytes.NewReader(config) }, "application/vnd.oci.image.config.v1+json"
		}
		sum := sha256.New()
		n, err := io.Copy(sum, content())
		if err != nil {
			return err
		}
		digest := fmt.Sprintf("sha256:%x", sum.Sum(nil))
		if err := a.send(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest, "application/octet-stream", content(), n); err != nil {
			return err
		}
		parts = append(parts, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, n))
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}`, parts[layers], strings.Join(parts[:layers], ","))
	return a.send(http.MethodPut, "/v2/"+repository+"/manifests/large", "application/vnd.oci.image.manifest.v1+json", strings.NewReader(manifest), int64(len(manifest)))
}

func (a *acrux) send(method, path, mediaType string, body io.Reader, n int64) error {
	req, err := http.NewRequest(method, "http://"+a.plain+path, body)
	if err != nil {
		return err
	}
	req.ContentLength = n
	req.Header.Set("Content-Type", mediaType)
	_, err = a.do(req)
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

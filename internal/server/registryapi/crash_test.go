package registryapi_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/access/tenant"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	contents "github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

func TestMain(m *testing.M) {
	servertest.ServeChild()
	os.Exit(m.Run())
}

// pusher pushes images to a server that may vanish at any moment.
type pusher struct {
	client *http.Client
	base   string // https://host
	login  string
}

// toAddress makes a client whose requests all go to one loopback address.
func toAddress(t *testing.T, address string) *http.Client {
	t.Helper()
	trusted := httptest.NewTLSServer(nil) // has the same certificate
	t.Cleanup(trusted.Close)
	transport := servertest.Transport(trusted)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// call sends a request; the error is for a server that is gone and for refusals.
func (p pusher) call(method, url, body, contentType string, want int) (*http.Response, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", p.login)
	req.Header.Set("Content-Type", contentType)
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return nil, err
	}
	if res.StatusCode != want {
		return res, fmt.Errorf("%s %s: %d", method, url, res.StatusCode)
	}
	return res, nil
}

// layerOf is the content of the layer that a tag's image has.
func layerOf(tag string) string { return strings.Repeat(tag+" ", 4000) }

// image pushes the image of a tag, its layer in two chunks.
func (p pusher) image(tag string) error {
	layer := layerOf(tag)
	res, err := p.call("POST", p.base+"/v2/hello/blobs/uploads/", "", "", 202)
	if err != nil {
		return err
	}
	at := p.base + res.Header.Get("Location")
	if _, err := p.call("PATCH", at, layer[:10_000], "application/octet-stream", 202); err != nil {
		return err
	}
	if _, err := p.call("PUT", at+"?digest="+digestOf(layer), layer[10_000:], "application/octet-stream", 201); err != nil {
		return err
	}
	if _, err := p.call("POST", p.base+"/v2/hello/blobs/uploads/?digest="+digestOf("{}"), "{}", "application/octet-stream", 201); err != nil {
		return err
	}
	_, err = p.call("PUT", p.base+"/v2/hello/manifests/"+tag, simple(layer), imageType, 201)
	return err
}

// prepare makes an installation with a registry in dir and someone who may push.
func prepare(t *testing.T, dir string) servertest.Person {
	t.Helper()
	ctx := t.Context()
	stack, err := servertest.Build(ctx, dir, dir, "127.0.0.1:1")
	must(t, err)
	group := arm.GroupID(servertest.Subscription, "MyGroup")
	_, _, err = stack.Groups.Put(ctx, resource.Put[tenant.Properties]{ID: group, Location: "eastus", Now: time.Now()})
	must(t, err)
	_, _, err = stack.Registries.Put(ctx, resource.Put[contents.Properties]{ID: group.In(contents.Kind, "MyRegistry"), SKU: &arm.SKU{Name: "Basic"}, Now: time.Now()})
	must(t, err)
	p, err := stack.NewPerson(ctx, "pusher")
	must(t, err)
	_, err = stack.Assign(ctx, p.ObjectID, "AcrPush", group)
	must(t, err)
	must(t, stack.DB.Close())
	return p
}

// A server is killed while clients push, several times over. Every push that it
// acknowledged can be pulled afterwards, byte by byte.
func TestKilledWhilePushing(t *testing.T) {
	dir := t.TempDir()
	person := prepare(t, dir)
	login := basic(string(person.ClientID), person.Secret)
	const rounds, clients, enough = 3, 4, 25
	var mu sync.Mutex
	var acknowledged []string
	for round := range rounds {
		child := servertest.StartChild(t, dir)
		_, port, _ := net.SplitHostPort(child.Address)
		p := pusher{client: toAddress(t, child.Address), base: "https://myregistry.azurecr." + servertest.Domain + ":" + port, login: login}
		reached, first := make(chan struct{}), len(acknowledged)
		var once sync.Once
		var group sync.WaitGroup
		for client := range clients {
			group.Go(func() {
				for i := 0; ; i++ {
					tag := fmt.Sprintf("r%d-c%d-%d", round, client, i)
					if err := p.image(tag); err != nil {
						return // it was killed
					}
					mu.Lock()
					if acknowledged = append(acknowledged, tag); len(acknowledged)-first >= enough {
						once.Do(func() { close(reached) })
					}
					mu.Unlock()
				}
			})
		}
		gone := make(chan struct{})
		go func() { group.Wait(); close(gone) }()
		select {
		case <-reached:
		case <-gone:
			t.Fatalf("the clients gave up after %d pushes", len(acknowledged)-first)
		}
		child.Kill()
		<-gone
	}
	survived(t, dir, acknowledged)
}

// survived looks at an installation that is opened anew: every tag can be pulled, also
// after what the kills left was collected, and tags, counters and events agree.
func survived(t *testing.T, dir string, tags []string) {
	t.Helper()
	stack, err := servertest.Build(t.Context(), dir, dir, "127.0.0.1:1")
	must(t, err)
	defer func() { must(t, stack.DB.Close()) }()
	pullAll(t, stack, tags)
	agree(t, stack, tags)
	later := time.Now().Add(48 * time.Hour)
	must(t, stack.Content.SweepUploads(t.Context(), later))
	collector := &collect.Collector{Store: sqlstore.Collect{Registry: sqlstore.Registry{DB: stack.DB}}, Blobs: stack.Content.Blobs}
	_, err = collector.Collect(t.Context(), later, 0)
	must(t, err)
	orphans, err := collector.Orphans(t.Context(), later, collect.OrphanAge, false)
	must(t, err)
	pullAll(t, stack, tags)
	t.Logf("%d acknowledged tags, %d orphans", len(tags), orphans)
}

// agree compares the tags there are with the repository's counter and with events: each
// push has one, acknowledged or not.
func agree(t *testing.T, stack *servertest.Stack, acknowledged []string) {
	t.Helper()
	name := contents.Name{Registry: "myregistry", Repository: "hello"}
	all, err := stack.Content.Tags(t.Context(), name, contents.TagQuery{})
	must(t, err)
	repo, err := stack.Content.Repository(t.Context(), name)
	must(t, err)
	equal(t, repo.Tags, int64(len(all)))
	events, err := sqlstore.Registry{DB: stack.DB}.Events(t.Context(), "test", 100_000)
	must(t, err)
	pushes := map[string]int{}
	for _, e := range events {
		if e.Action == contents.Pushed {
			pushes[e.Tag]++
		}
	}
	for _, tag := range all {
		if pushes[tag.Name] != 1 {
			t.Errorf("the push of %s has %d events", tag.Name, pushes[tag.Name])
		}
	}
	if len(pushes) != len(all) || len(all) < len(acknowledged) {
		t.Errorf("%d tags are there, %d were pushed by the events, %d pushes were acknowledged", len(all), len(pushes), len(acknowledged))
	}
}

func pullAll(t *testing.T, stack *servertest.Stack, tags []string) {
	t.Helper()
	name := contents.Name{Registry: "myregistry", Repository: "hello"}
	for _, tag := range tags {
		m, err := stack.Content.Manifest(t.Context(), name, tag)
		if err != nil || string(m.Body) != simple(layerOf(tag)) {
			t.Errorf("%s: %v", tag, err)
			continue
		}
		b, err := stack.Content.Blob(t.Context(), name, digest.FromString(layerOf(tag)))
		must(t, err)
		content, err := stack.Content.OpenBlob(t.Context(), name, b)
		must(t, err)
		var text strings.Builder
		_, err = content.WriteTo(&text, 0, content.Size())
		must(t, err)
		must(t, content.Close())
		if text.String() != layerOf(tag) {
			t.Errorf("the layer of %s is damaged", tag)
		}
	}
}

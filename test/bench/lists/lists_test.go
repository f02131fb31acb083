package lists

import (
	stdcontext "context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/acrux/acrux/test/fixture"
)

var (
	program = flag.String("program", "", "the program to measure")
	before  = flag.String("before", "", "an older program to measure beside it")
	size    = flag.Int("n", 2000, "how many there are of everything; the other database has ten times as many")
	rounds  = flag.Int("rounds", 15, "how often each list is asked for; the fastest counts")
)

func context() stdcontext.Context { return stdcontext.Background() }

const arm, graph, data = "management", "graph", "registry"

// lists are what is measured: host and path of the first page.
var lists = []struct{ what, host, path string }{
	{"tasks", arm, registryID + "/tasks"},
	{"runs", arm, registryID + "/runs"},
	{"runs of a task, failed ones: none", arm, registryID + "/runs?$filter=TaskName eq 'build000001' and Status eq 'Failed'"},
	{"runs by output: none", arm, registryID + "/runs?$filter=contains(OutputImageManifests, 'hello@sha256:x')"},
	{"tokens", arm, registryID + "/tokens"},
	{"scope maps", arm, registryID + "/scopeMaps"},
	{"agent pools", arm, registryID + "/agentPools"},
	{"registries", arm, "/subscriptions/" + subscription + registryType},
	{"resource groups", arm, "/subscriptions/" + subscription + "/resourcegroups"},
	{"resource groups with a tag: none", arm, "/subscriptions/" + subscription + "/resourcegroups?$filter=tagName eq 'none'"},
	{"identities", arm, group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"},
	{"resources", arm, "/subscriptions/" + subscription + "/resources"},
	{"resources of a type", arm, "/subscriptions/" + subscription + "/resources?$filter=resourceType eq 'Microsoft.ContainerRegistry/registries'"},
	{"resources by name: none", arm, "/subscriptions/" + subscription + "/resources?$filter=name eq 'none'"},
	{"resources by location: none", arm, "/subscriptions/" + subscription + "/resources?$filter=location eq 'nowhere'"},
	{"tag names", arm, "/subscriptions/" + subscription + "/tagNames"},
	{"role assignments", arm, registryID + "/providers/Microsoft.Authorization/roleAssignments"},
	{"role assignments, atScope()", arm, group + "/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()"},
	{"role assignments of one principal: none", arm, registryID + "/providers/Microsoft.Authorization/roleAssignments?$filter=principalId eq 'none'"},
	{"usages", arm, registryID + "/listUsages"},
	{"service principals", graph, "/v1.0/servicePrincipals"},
	{"service principals by client ID: none", graph, "/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:c eq 'none')"},
	{"service principals by name: none", graph, "/v1.0/servicePrincipals?$filter=displayName eq 'none'"},
	{"applications", graph, "/v1.0/applications"},
	{"users", graph, "/v1.0/users"},
	{"_catalog", data, "/acr/v1/_catalog"},
	{"a repository, with its size", data, "/acr/v1/many/000001"},
	{"_manifests, one with ten times as many tags", data, "/acr/v1/many/000001/_manifests"},
	{"_manifests of one digest", data, "/acr/v1/many/000001/_manifests/sha256:" + strings.Repeat("0", 63) + "1"},
	{"_tags", data, "/acr/v1/many/000001/_tags"},
	{"_tags of a manifest without any", data, "/acr/v1/many/000001/_tags?digest=sha256:" + strings.Repeat("0", 63) + "2"},
	{"tags/list", data, "/v2/many/000001/tags/list?n=100"},
	{"referrers", data, "/v2/many/000002/referrers/sha256:" + strings.Repeat("a", 64)},
	{"referrers of a type: none", data, "/v2/many/000002/referrers/sha256:" + strings.Repeat("a", 64) + "?artifactType=none"},
}

// BenchmarkLists prints the table. It fails where something does not answer, and nowhere
// else: figures are for the reader.
func BenchmarkLists(b *testing.B) {
	if *program == "" {
		b.Fatal("which program is to be measured? -args -program bin/acrux")
	}
	programs := []string{*program}
	if *before != "" {
		programs = []string{*before, *program}
	}
	var servers []*server
	head := "first page of"
	dir := b.TempDir()
	for _, n := range []int{*size, 10 * *size} {
		for i, p := range programs {
			s, err := start(p, filepath.Join(dir, fmt.Sprint(n, i)), n)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := s.Stop(); err != nil {
					b.Error(err)
				}
			})
			servers = append(servers, s)
			head += fmt.Sprintf("\t%s, %d", []string{"before", "now"}[i+2-len(programs)], n)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head+"\tnow, ten times as much")
	for _, l := range lists {
		times := make([][]time.Duration, len(servers))
		for range *rounds {
			for i, s := range servers {
				took, err := s.get(l.host, l.path)
				if err != nil {
					b.Fatalf("%s: %v", l.what, err)
				}
				times[i] = append(times[i], took)
			}
		}
		line := l.what
		var best []float64
		for _, all := range times {
			best = append(best, float64(slices.Min(all).Microseconds())/1000)
			line += fmt.Sprintf("\t%.1f ms", best[len(best)-1])
		}
		fmt.Fprintf(table, "%s\t%.2f\n", line, best[len(best)-1]/best[len(programs)-1])
	}
	if err := table.Flush(); err != nil {
		b.Error(err)
	}
}

// server is a server on a filled database, with the administrator's tokens for its hosts.
type server struct {
	*fixture.Server
	plain  string
	tokens map[string]string
}

func start(program, dir string, n int) (*server, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	if err := fill(dir, n); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{plain: l.Addr().String(), tokens: map[string]string{}}
	if err := l.Close(); err != nil {
		return nil, err
	}
	s.Server, err = fixture.StartServer(program, dir, fmt.Sprintf("listenPlain: %s\nagent: {off: true}\n", s.plain), os.Environ())
	if err != nil {
		return nil, err
	}
	return s, s.signIn(program)
}

func (s *server) signIn(program string) error {
	for _, host := range []string{arm, graph} {
		cmd := exec.Command(program, "account", "get-access-token", "--resource", s.Published.URL(host), "--query", "accessToken", "--output", "tsv")
		cmd.Env = append(os.Environ(), append(s.Exports(), "ACRUX_CONFIG_DIR="+filepath.Join(s.Data, "client"))...)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		if err != nil {
			return err
		}
		s.tokens[host] = strings.TrimSpace(string(out))
	}
	refresh, err := s.post("/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {s.host(data)}, "access_token": {s.tokens[arm]}})
	if err != nil {
		return err
	}
	access, err := s.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "service": {s.host(data)}, "refresh_token": {refresh["refresh_token"]},
		"scope": {"registry:catalog:* repository:many/000001:pull,metadata_read repository:many/000002:pull"}})
	s.tokens[data] = access["access_token"]
	return err
}

func (s *server) host(name string) string {
	if name == data {
		return "listsregistry.azurecr." + s.Published.Suffix()
	}
	return name + "." + s.Published.Suffix()
}

func (s *server) post(path string, form url.Values) (answer map[string]string, err error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.plain+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Host = s.host(data)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, text, err := send(req)
	if err == nil {
		_ = json.Unmarshal(text, &answer) // a member that is no text is none of those that are read
	}
	return answer, err
}

// get asks for a page, to its last byte.
func (s *server) get(host, path string) (time.Duration, error) {
	path, query, _ := strings.Cut(path, "?")
	values := url.Values{}
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			values.Set(name, value)
		}
	}
	if host == arm {
		values.Set("api-version", "2021-04-01")
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+s.plain+path+"?"+values.Encode(), nil)
	if err != nil {
		return 0, err
	}
	req.Host = s.host(host)
	req.Header.Set("Authorization", "Bearer "+s.tokens[host])
	took, _, err := send(req)
	return took, err
}

func send(req *http.Request) (time.Duration, []byte, error) {
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %.500s", req.URL, res.Status, text)
	}
	return time.Since(began), text, err
}

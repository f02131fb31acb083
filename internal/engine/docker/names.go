package docker

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
)

// Labels of everything that an executor makes in the engine, images excepted: theirs are
// part of what they are.
const (
	executorLabel = "acrux.executor"
	runLabel      = "acrux.run"
)

// names are those of one run in the engine. No run has names that begin with another's:
// neither executors' nor runs' identifiers have dots.
type names struct{ executor, run string }

func (n names) prefix() string               { return "acrux." + n.executor + "." + n.run + "." }
func (n names) container(name string) string { return n.prefix() + name }
func (n names) volume(name string) string    { return n.prefix() + name }
func (n names) network(name string) string   { return n.prefix() + "network." + name }
func (n names) labels() map[string]string {
	return map[string]string{executorLabel: n.executor, runLabel: n.run}
}
func (n names) filters() client.Filters       { return filters(n.executor).Add("label", runLabel+"="+n.run) }
func (n names) image(id digest.Digest) string { return n.repository() + ":" + id.Encoded() }
func (n names) newImage() string              { return n.repository() + ":new-" + strings.ToLower(rand.Text()) }

// repository holds the run's images. Its domain is one that no name server knows, and no
// registry has.
func (n names) repository() string {
	sum := sha256.Sum256([]byte(n.run))
	return imageDomain(n.executor) + "/" + hex.EncodeToString(sum[:16])
}

func imageDomain(executor string) string { return "acrux-" + executor + ".invalid" }

func filters(executor string) client.Filters {
	return client.Filters{}.Add("label", executorLabel+"="+executor)
}

// human takes the executor's own names out of a message of the engine.
func (n names) human(text string) string {
	return strings.NewReplacer(n.network(""), "", n.prefix(), "").Replace(text)
}

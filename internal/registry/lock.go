package registry

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
)

// What operations take of the switches. As ACR has it, write-disabled means neither
// changed nor deleted, and delete-disabled may still be changed.
const (
	toRead   = ReadEnabled
	toWrite  = WriteEnabled
	toDelete = DeleteEnabled | WriteEnabled
)

// Disallowed is ACR's code of what a lock forbids.
const Disallowed = "REGISTRY_DISALLOWED_OPERATION"

// flags are the switches as a client writes them, on the wire and as options.
var flags = []struct {
	bit          Attributes
	member, flag string
}{
	{WriteEnabled, "writeEnabled", "--write-enabled"},
	{DeleteEnabled, "deleteEnabled", "--delete-enabled"},
	{ReadEnabled, "readEnabled", "--read-enabled"},
	{ListEnabled, "listEnabled", "--list-enabled"},
}

// SwitchNamed returns the switch that has the name on the wire.
func SwitchNamed(member string) (Attributes, bool) {
	for _, f := range flags {
		if f.member == member {
			return f.bit, true
		}
	}
	return 0, false
}

// Lock is what keeps an operation from being done: a repository (Reference is
// empty), tag or manifest, and its switches.
type Lock struct {
	Reference  string
	Attributes Attributes
}

// check returns the problem of an operation that needs switches which are off, with
// the command that turns them on.
func (l Lock) check(name Name, need Attributes) error {
	off := need &^ l.Attributes
	if off == 0 {
		return nil
	}
	what, option := "repository '"+name.Repository+"'", "--repository "+name.Repository
	if l.Reference != "" {
		image := name.Repository + ":" + l.Reference
		if digest.Digest(l.Reference).Validate() == nil {
			image = name.Repository + "@" + l.Reference
		}
		what, option = "'"+image+"'", "--image "+image
	}
	var members, options []string
	for _, f := range flags {
		if off&f.bit != 0 {
			members, options = append(members, f.member+"=false"), append(options, f.flag+" true")
		}
	}
	// In the message, for clients show nothing else.
	return problem.New(problem.NotAllowed, Disallowed,
		"the operation is disallowed on this registry, repository or image: %s is locked (%s); to lift the lock: az acr repository update --name %s %s %s",
		what, strings.Join(members, ", "), name.Registry, option, strings.Join(options, " "))
}

// CheckWritable returns the problem that a push under the tag would have with locks
// as they are now; an empty tag is none.
func (c *Content) CheckWritable(ctx context.Context, name Name, tag string) error {
	if err := c.checkRepository(ctx, name, toWrite); err != nil || tag == "" {
		return err
	}
	return c.checkTag(ctx, name, tag, toWrite)
}

// checkRepository returns a problem if the repository is there and locked. In a
// transaction it holds until the end of it.
func (c *Content) checkRepository(ctx context.Context, name Name, need Attributes) error {
	repo, err := c.Store.Repository(ctx, name)
	if errors.Is(err, ErrNoRepository) {
		return nil
	}
	if err != nil {
		return err
	}
	return Lock{Attributes: repo.Attributes}.check(name, need)
}

func (c *Content) checkTag(ctx context.Context, name Name, tag string, need Attributes) error {
	t, err := c.Store.Tag(ctx, name, tag)
	if errors.Is(err, ErrNoManifest) || errors.Is(err, ErrNoRepository) {
		return nil
	}
	if err != nil {
		return err
	}
	return Lock{Reference: tag, Attributes: t.Attributes}.check(name, need)
}

// check returns the problem of a push.
func (t Target) check(name Name, d digest.Digest, tags []string) error {
	err := Lock{Attributes: t.Repository}.check(name, toWrite)
	if err == nil {
		err = Lock{Reference: d.String(), Attributes: t.Manifest}.check(name, toWrite)
	}
	for _, tag := range tags {
		if attributes, there := t.Tags[tag]; there && err == nil {
			err = Lock{Reference: tag, Attributes: attributes}.check(name, toWrite)
		}
	}
	switch {
	case err != nil:
		return err
	case t.MissingBlob != "":
		return missingPart("MANIFEST_BLOB_UNKNOWN", "blob", t.MissingBlob)
	case t.MissingChild != "":
		return missingPart("MANIFEST_UNKNOWN", "manifest or blob", t.MissingChild)
	}
	return nil
}

// checkManifest looks at the manifest alone.
func (c *Content) checkManifest(ctx context.Context, name Name, d digest.Digest, need Attributes) error {
	m, err := c.Store.Manifest(ctx, name, d.String())
	if errors.Is(err, ErrNoManifest) || errors.Is(err, ErrNoRepository) {
		return nil
	}
	if err != nil {
		return err
	}
	return Lock{Reference: d.String(), Attributes: m.Attributes}.check(name, need)
}

// checkHeld returns a problem if something that would be lost with d, a manifest or
// blob, is locked; with an empty d, if anything in the repository is.
func (c *Content) checkHeld(ctx context.Context, name Name, d digest.Digest, need Attributes) error {
	lock, found, err := c.Store.FirstLock(ctx, name, d, need)
	if err != nil || !found {
		return err
	}
	return lock.check(name, need)
}

// whyUnreadable says which of the switches that count for a manifest is off.
func (c *Content) whyUnreadable(ctx context.Context, name Name, m Manifest, reference string) error {
	if err := c.checkRepository(ctx, name, toRead); err != nil {
		return err
	}
	if err := (Lock{Reference: m.Digest.String(), Attributes: m.Attributes}).check(name, toRead); err != nil {
		return err
	}
	return Lock{Reference: reference, Attributes: m.Effective}.check(name, toRead)
}

// SetAttributes turns switches of a repository (reference is empty), tag or manifest
// on and off.
func (c *Content) SetAttributes(ctx context.Context, name Name, reference string, on, off Attributes) error {
	err := c.Store.SetAttributes(ctx, name, reference, on, off)
	if errors.Is(err, ErrNoManifest) && digest.Digest(reference).Validate() != nil {
		return unknownTag(name, reference)
	}
	return wire(err, name, reference)
}

package buildkit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	sessionsecrets "github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// secrets are those of one build, and what keeps results that were made with them from
// other builds. BuildKit knows a result by the lines that made it, not by the secrets
// they read: it would take it from its cache for a build with another secret, or do the
// work of two builds that go on at the same time only once.
type secrets struct {
	values map[string][]byte
	prefix string // of the IDs under which this build, and no other, asks for its secrets
}

func newSecrets(values map[string][]byte) secrets {
	return secrets{values: values, prefix: uuid.NewString() + "/"}
}

// GetSecret implements BuildKit's secrets.SecretStore.
func (s secrets) GetSecret(_ context.Context, id string) ([]byte, error) {
	value, ok := s.values[strings.TrimPrefix(id, s.prefix)]
	if !ok {
		return nil, sessionsecrets.ErrNotFound
	}
	return value, nil
}

// asWritten gives the IDs in a message back the names that the Dockerfile has.
func (s secrets) asWritten(message string) string { return strings.ReplaceAll(message, s.prefix, "") }

// keep makes vertices that use a secret this build's own, and has BuildKit run them, and
// all that comes of them, each time anew. It returns the vertices of the changed
// definition.
func (s secrets) keep(definition *pb.Definition, ops []operation) ([]operation, error) {
	kept, renamed := slices.Clone(ops), map[string]string{}
	for i, op := range ops {
		uses, follows := s.rename(op.GetExec()), follow(op.Inputs, renamed)
		if !uses && !follows {
			continue
		}
		data, err := op.MarshalVT()
		if err != nil {
			return nil, fmt.Errorf("writing the definition of a build: %w", err)
		}
		d := digest.FromBytes(data)
		definition.Def[i], kept[i].digest, renamed[op.digest.String()] = data, d, d.String()
	}
	for old, d := range renamed {
		move(definition, old, d)
	}
	return kept, nil
}

// follow points inputs at renamed vertices, and says whether there were any.
func follow(inputs []*pb.Input, renamed map[string]string) (found bool) {
	for _, input := range inputs {
		if d, ok := renamed[input.Digest]; ok {
			input.Digest, found = d, true
		}
	}
	return found
}

// move gives a vertex's metadata and places in the file to its new digest.
func move(definition *pb.Definition, old, d string) {
	metadata := definition.Metadata[old]
	if metadata == nil {
		metadata = &pb.OpMetadata{}
	}
	metadata.IgnoreCache = true
	definition.Metadata = maps.Clone(definition.Metadata)
	if definition.Metadata == nil {
		definition.Metadata = map[string]*pb.OpMetadata{}
	}
	delete(definition.Metadata, old)
	definition.Metadata[d] = metadata
	if definition.Source == nil {
		return
	}
	if places, ok := definition.Source.Locations[old]; ok {
		delete(definition.Source.Locations, old)
		definition.Source.Locations[d] = places
	}
}

// rename gives the secrets of exec their IDs of this build, and says whether it has any.
func (s secrets) rename(exec *pb.ExecOp) (found bool) {
	for _, mount := range exec.GetMounts() {
		switch {
		case mount.MountType == pb.MountType_SSH && mount.SSHOpt != nil:
			mount.SSHOpt.ID, found = s.prefix+mount.SSHOpt.ID, true
		case mount.MountType == pb.MountType_SECRET && mount.SecretOpt != nil:
			mount.SecretOpt.ID, found = s.prefix+mount.SecretOpt.ID, true
		case mount.MountType == pb.MountType_SECRET || mount.MountType == pb.MountType_SSH:
			found = true // without a name nothing is handed out
		}
	}
	for _, env := range exec.GetSecretenv() {
		env.ID, found = s.prefix+env.ID, true
	}
	return found
}

package buildkit

import (
	"context"
	"errors"
	"testing"

	sessionsecrets "github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// secretDefinition is a build of six vertices: a base, a RUN without a secret, one with
// a mounted secret, one with a secret in its environment, one that works on both, and
// the end.
func secretDefinition(t *testing.T) (*pb.Definition, []operation) {
	t.Helper()
	definition := &pb.Definition{Metadata: map[string]*pb.OpMetadata{}, Source: &pb.Source{Locations: map[string]*pb.Locations{}}}
	add := func(op *pb.Op) *pb.Input {
		data, err := op.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		d := digest.FromBytes(data).String()
		definition.Def = append(definition.Def, data)
		definition.Source.Locations[d] = &pb.Locations{Locations: []*pb.Location{{SourceIndex: int32(len(definition.Def))}}}
		return &pb.Input{Digest: d}
	}
	run := func(exec *pb.ExecOp, inputs ...*pb.Input) *pb.Input {
		return add(&pb.Op{Inputs: inputs, Op: &pb.Op_Exec{Exec: exec}})
	}
	base := add(&pb.Op{Op: &pb.Op_Source{Source: &pb.SourceOp{Identifier: "docker-image://x"}}})
	run(&pb.ExecOp{Meta: &pb.Meta{Args: []string{"plain"}}}, base)
	mounted := run(&pb.ExecOp{Mounts: []*pb.Mount{{MountType: pb.MountType_SECRET, SecretOpt: &pb.SecretOpt{ID: "token"}}}}, base)
	environ := run(&pb.ExecOp{Secretenv: []*pb.SecretEnv{{ID: "token", Name: "TOKEN"}}}, base)
	after := run(&pb.ExecOp{Meta: &pb.Meta{Args: []string{"after"}}}, mounted, environ)
	add(&pb.Op{Inputs: []*pb.Input{after}})
	ops, err := readDefinition(definition)
	if err != nil {
		t.Fatal(err)
	}
	return definition, ops
}

// What uses a secret, and what comes of it, is not taken from the cache, and is another
// vertex in each build. All else is the same in all of them.
func TestSecretsAreKept(t *testing.T) {
	var builds [][]operation
	for range 2 {
		definition, ops := secretDefinition(t)
		kept, err := newSecrets(nil).keep(definition, ops)
		if err != nil {
			t.Fatal(err)
		}
		reread, err := readDefinition(definition)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i, op := range reread {
			d := op.digest.String()
			seen[d] = true
			if kept[i].digest != op.digest {
				t.Errorf("vertex %d is said to be %s and is %s", i, kept[i].digest, d)
			}
			if got, want := definition.Metadata[d].GetIgnoreCache(), i >= 2; got != want {
				t.Errorf("vertex %d ignores the cache: %v, want %v", i, got, want)
			}
			if places := definition.Source.Locations[d]; places == nil || places.Locations[0].SourceIndex != int32(i+1) {
				t.Errorf("vertex %d stands at %v", i, places)
			}
			for _, input := range op.Inputs {
				if !seen[input.Digest] {
					t.Errorf("vertex %d works on %s, which is not there", i, input.Digest)
				}
			}
		}
		builds = append(builds, kept)
	}
	for i := range builds[0] {
		if same := builds[0][i].digest == builds[1][i].digest; same != (i < 2) {
			t.Errorf("vertex %d is the same in two builds: %v", i, same)
		}
	}
}

func TestSecretsByTheirNames(t *testing.T) {
	mine, other := newSecrets(map[string][]byte{"token": []byte("x")}), newSecrets(nil)
	if value, err := mine.GetSecret(context.Background(), mine.prefix+"token"); err != nil || string(value) != "x" {
		t.Errorf("the secret is %q, %v", value, err)
	}
	for _, id := range []string{mine.prefix + "others", other.prefix + "token"} {
		if _, err := mine.GetSecret(context.Background(), id); !errors.Is(err, sessionsecrets.ErrNotFound) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if got := mine.asWritten("secret " + mine.prefix + "token: not found"); got != "secret token: not found" {
		t.Errorf("the message is %q", got)
	}
}

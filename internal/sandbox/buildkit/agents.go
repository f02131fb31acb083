package buildkit

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/moby/buildkit/session/sshforward"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// agents are the SSH agents of one build, for RUN --mount=type=ssh: each signs with one
// key, which it does not give away.
type agents struct {
	byID map[string]agent.ExtendedAgent // as the build's secrets name them
}

// newAgents reads private keys. Those with a passphrase are refused: there is nobody to
// ask.
func newAgents(prefix string, keys map[string][]byte) (*agents, error) {
	a := &agents{byID: map[string]agent.ExtendedAgent{}}
	for id, pem := range keys {
		key, err := ssh.ParseRawPrivateKey(pem)
		if err != nil {
			return nil, fmt.Errorf("the key %s of --ssh cannot be used: %w", id, err)
		}
		ring := agent.NewKeyring().(agent.ExtendedAgent) // says its documentation
		if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			return nil, fmt.Errorf("the key %s of --ssh cannot be used: %w", id, err)
		}
		a.byID[prefix+id] = ring
	}
	return a, nil
}

// Register implements session.Attachable.
func (a *agents) Register(server *grpc.Server) { sshforward.RegisterSSHServer(server, a) }

// CheckAgent implements sshforward.SSHServer.
func (a *agents) CheckAgent(_ context.Context, req *sshforward.CheckAgentRequest) (*sshforward.CheckAgentResponse, error) {
	if a.byID[req.ID] == nil {
		return nil, status.Errorf(codes.NotFound, "unset ssh forward key %s", req.ID)
	}
	return &sshforward.CheckAgentResponse{}, nil
}

// ForwardAgent implements sshforward.SSHServer.
func (a *agents) ForwardAgent(stream sshforward.SSH_ForwardAgentServer) error {
	ctx := stream.Context()
	var id string
	if sent, ok := metadata.FromIncomingContext(ctx); ok && len(sent[sshforward.KeySSHID]) > 0 {
		id = sent[sshforward.KeySSHID][0]
	}
	ring := a.byID[id]
	if ring == nil {
		return status.Errorf(codes.NotFound, "unset ssh forward key %s", id)
	}
	ours, theirs := net.Pipe()
	go func() {
		defer ours.Close()
		_ = serveKeys(ring, ours) // it ends when the build hangs up
	}()
	return sshforward.Copy(ctx, theirs, stream, nil)
}

// Messages of draft-ietf-sshm-ssh-agent, section 6.1.
const (
	agentFailure      = 5
	agentListRequest  = 11
	agentListAnswer   = 12
	agentSignRequest  = 13
	agentSignAnswer   = 14
	agentLongestFrame = 256 << 10
)

// serveKeys answers requests for the list of keys and for signatures. All else fails: a
// RUN must not lock the agent or take its key away from the next. The library's own
// server writes to the process's log whatever a client asks for in vain.
func serveKeys(ring agent.ExtendedAgent, conn io.ReadWriter) error {
	for {
		var length [4]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(length[:])
		if size == 0 || size > agentLongestFrame {
			return fmt.Errorf("a request of %d bytes to an SSH agent", size)
		}
		request := make([]byte, size)
		if _, err := io.ReadFull(conn, request); err != nil {
			return err
		}
		answer := agentAnswer(ring, request)
		binary.BigEndian.PutUint32(length[:], uint32(len(answer)))
		if _, err := conn.Write(append(length[:], answer...)); err != nil {
			return err
		}
	}
}

func agentAnswer(ring agent.ExtendedAgent, request []byte) []byte {
	failure := []byte{agentFailure}
	switch request[0] {
	case agentListRequest:
		keys, err := ring.List()
		if err != nil {
			return failure
		}
		answer := binary.BigEndian.AppendUint32([]byte{agentListAnswer}, uint32(len(keys)))
		for _, key := range keys {
			answer = append(answer, ssh.Marshal(struct{ Blob, Comment string }{string(key.Blob), key.Comment})...)
		}
		return answer
	case agentSignRequest:
		var wanted struct {
			Key, Data []byte
			Flags     uint32
		}
		if ssh.Unmarshal(request[1:], &wanted) != nil {
			return failure
		}
		signature, err := ring.SignWithFlags(&agent.Key{Blob: wanted.Key}, wanted.Data, agent.SignatureFlags(wanted.Flags))
		if err != nil {
			return failure
		}
		return append([]byte{agentSignAnswer}, ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(signature)})...)
	}
	return failure
}

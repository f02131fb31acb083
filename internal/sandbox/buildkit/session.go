package buildkit

import (
	"context"

	"github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// logins answers BuildKit's question for credentials from the run's. It leaves the
// fetching of tokens to the other side, which does it with our HTTP client.
type logins struct {
	auth.UnimplementedAuthServer
	login imagestore.Login
}

// Register implements session.Attachable.
func (l *logins) Register(server *grpc.Server) { auth.RegisterAuthServer(server, l) }

// Credentials implements auth.AuthServer.
func (l *logins) Credentials(_ context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	user, password, err := l.login.Credentials(req.Host)
	if err != nil {
		return nil, err
	}
	return &auth.CredentialsResponse{Username: user, Secret: password}, nil
}

var errOtherSide = status.Error(codes.Unavailable, "tokens are fetched by the builder")

// FetchToken implements auth.AuthServer.
func (l *logins) FetchToken(context.Context, *auth.FetchTokenRequest) (*auth.FetchTokenResponse, error) {
	return nil, errOtherSide
}

// GetTokenAuthority implements auth.AuthServer.
func (l *logins) GetTokenAuthority(context.Context, *auth.GetTokenAuthorityRequest) (*auth.GetTokenAuthorityResponse, error) {
	return nil, errOtherSide
}

// VerifyTokenAuthority implements auth.AuthServer.
func (l *logins) VerifyTokenAuthority(context.Context, *auth.VerifyTokenAuthorityRequest) (*auth.VerifyTokenAuthorityResponse, error) {
	return nil, errOtherSide
}

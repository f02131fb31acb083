package signin

import (
	"context"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/secret"
)

// invitationPrefix lets scanners for leaked secrets find invitations.
const invitationPrefix = "acrux_in_"

// Invite makes an invitation of a user, in place of one before: whoever has it may choose
// the user's password, once, until it expires.
func (s *Service) Invite(ctx context.Context, who identity.ObjectID, now time.Time) (secret.String, Invitation, error) {
	text, hashed := random(invitationPrefix)
	i := Invitation{Hash: hashed, Principal: who, Expires: now.Add(InvitationTTL)}
	return text, i, s.store.PutInvitation(ctx, i)
}

// Invited returns whose invitation it is, or ErrUnknown. It still counts afterwards.
func (s *Service) Invited(ctx context.Context, text secret.String, now time.Time) (identity.ObjectID, error) {
	i, err := s.store.Invitation(ctx, hash(text.Reveal()))
	if err == nil && !now.Before(i.Expires) {
		err = ErrUnknown
	}
	return i.Principal, err
}

// TakeInvitation uses an invitation up; ErrUnknown if it was used, or never was.
func (s *Service) TakeInvitation(ctx context.Context, text secret.String) error {
	return s.store.TakeInvitation(ctx, hash(text.Reveal()))
}

// Package signin is what lies between someone who wants to sign in and a token: refresh
// tokens, codes by which devices without a browser are let in, invitations, assertions
// that count once, and how often one may guess.
//
// Refresh tokens and device codes are random texts of which a hash is kept. A refresh
// token is not changed for another one at each use: programs of one user share it, and
// who comes second would be signed out. It ends when it is not used for RefreshTTL, and
// when its user is deleted, disabled, or given another password.
package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/secret"
)

// How long things count.
const (
	RefreshTTL    = 90 * 24 * time.Hour // since the last use
	DeviceTTL     = 15 * time.Minute
	InvitationTTL = 24 * time.Hour
)

// Bounds of what is kept.
const (
	maxRefresh = 100  // refresh tokens of one user; older ones go
	maxDevices = 1000 // codes that wait at a time
)

// Errors of sign-in.
var (
	// ErrUnknown says that a token or code is not known, or no longer.
	ErrUnknown = errors.New("unknown or expired")
	// ErrPending says that nobody has let the device in yet.
	ErrPending = errors.New("nobody has signed in yet")
	// ErrUsed says that an assertion was used before.
	ErrUsed = errors.New("used before")
	// ErrTooMany says that more is waiting than is kept.
	ErrTooMany = errors.New("too many are waiting")
)

// Refresh is a refresh token as it is kept.
type Refresh struct {
	Hash      string
	Principal identity.ObjectID
	Client    identity.ClientID // who it was given to
	Expires   time.Time
}

// Device is a device that waits to be let in.
type Device struct {
	Hash      string // of the device code
	UserCode  string
	Client    identity.ClientID
	Scope     string
	Principal identity.ObjectID // who let it in; empty until then
	Expires   time.Time
}

// Invitation is one by which a user may choose a password, once.
type Invitation struct {
	Hash      string
	Principal identity.ObjectID
	Expires   time.Time
}

// Store keeps all this. What has expired may be removed at any time.
type Store interface {
	// Refresh finds a refresh token, or ErrUnknown.
	Refresh(ctx context.Context, hash string) (Refresh, error)
	// PutRefresh writes one, new or not, and keeps at most keep of the principal.
	PutRefresh(ctx context.Context, r Refresh, keep int) error
	// Device finds by the hash of the device code, or ErrUnknown.
	Device(ctx context.Context, hash string) (Device, error)
	// Waiting finds a device that waits to be let in by its user code, or ErrUnknown.
	Waiting(ctx context.Context, userCode string, now time.Time) (Device, error)
	// PutDevice adds a code that waits; ErrTooMany if limit of them do.
	PutDevice(ctx context.Context, d Device, limit int, now time.Time) error
	// AdmitDevice lets in the device that waits with the user code; ErrUnknown if none
	// does.
	AdmitDevice(ctx context.Context, userCode string, who identity.ObjectID, now time.Time) (Device, error)
	// TakeDevice removes one, so that its code counts once; ErrUnknown if it is gone.
	TakeDevice(ctx context.Context, hash string) error
	// PutInvitation writes the one of a principal, in place of one before.
	PutInvitation(ctx context.Context, i Invitation) error
	// Invitation finds one, or ErrUnknown.
	Invitation(ctx context.Context, hash string) (Invitation, error)
	// TakeInvitation removes one, so that it counts once; ErrUnknown if it is gone.
	TakeInvitation(ctx context.Context, hash string) error
	// UseAssertion remembers one until it expires; ErrUsed if it is remembered.
	UseAssertion(ctx context.Context, hash string, expires, now time.Time) error
}

// Service is what the login host knows of who signs in. It is safe for concurrent use.
type Service struct {
	store Store
	codes Limit // device codes asked for from one address
}

// NewService returns the service on a store.
func NewService(store Store) *Service {
	return &Service{store: store, codes: Limit{Times: 30, Every: 10 * time.Second}}
}

// AskCode reports whether an address may ask for another device code.
func (s *Service) AskCode(address string, now time.Time) bool { return s.codes.Take(address, now) }

// random returns 256 random bits as text and the hash that is kept of it.
func random(prefix string) (secret.String, string) {
	p := make([]byte, 32)
	_, _ = rand.Read(p) // never fails (crypto/rand)
	text := prefix + base64.RawURLEncoding.EncodeToString(p)
	return secret.New(text), hash(text)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// refreshPrefix lets scanners for leaked secrets find refresh tokens.
const refreshPrefix = "acrux_rt_"

// NewRefresh gives a client a refresh token of a user.
func (s *Service) NewRefresh(ctx context.Context, who identity.ObjectID, client identity.ClientID, now time.Time) (secret.String, error) {
	text, hashed := random(refreshPrefix)
	return text, s.store.PutRefresh(ctx, Refresh{Hash: hashed, Principal: who, Client: client, Expires: now.Add(RefreshTTL)}, maxRefresh)
}

// UseRefresh returns whose refresh token of the client it is, and lets it count anew;
// ErrUnknown for everything that is none. Whether the user may still sign in is for the
// caller to find out.
func (s *Service) UseRefresh(ctx context.Context, text secret.String, client identity.ClientID, now time.Time) (identity.ObjectID, error) {
	r, err := s.store.Refresh(ctx, hash(text.Reveal()))
	switch {
	case err != nil:
		return "", err
	case !strings.EqualFold(string(r.Client), string(client)) || !now.Before(r.Expires):
		return "", ErrUnknown
	case r.Expires.Sub(now) > RefreshTTL-time.Hour: // used a moment ago
		return r.Principal, nil
	}
	r.Expires = now.Add(RefreshTTL)
	return r.Principal, s.store.PutRefresh(ctx, r, maxRefresh)
}

// NewDevice makes the codes for a device that waits: the one it asks with, and the one
// its user types.
func (s *Service) NewDevice(ctx context.Context, client identity.ClientID, scope string, now time.Time) (secret.String, Device, error) {
	text, hashed := random("")
	d := Device{Hash: hashed, UserCode: newUserCode(), Client: client, Scope: scope, Expires: now.Add(DeviceTTL)}
	return text, d, s.store.PutDevice(ctx, d, maxDevices, now)
}

// Waiting returns the device that waits with the code that was typed, or ErrUnknown.
func (s *Service) Waiting(ctx context.Context, typed string, now time.Time) (Device, error) {
	return s.store.Waiting(ctx, normalUserCode(typed), now)
}

// AdmitDevice lets the device in as a user, by the code that was typed.
func (s *Service) AdmitDevice(ctx context.Context, typed string, who identity.ObjectID, now time.Time) (Device, error) {
	return s.store.AdmitDevice(ctx, normalUserCode(typed), who, now)
}

// TakeDevice returns the device that was let in, once; ErrPending while it waits, and
// ErrUnknown before, afterwards, or for another client.
func (s *Service) TakeDevice(ctx context.Context, code secret.String, client identity.ClientID, now time.Time) (Device, error) {
	d, err := s.store.Device(ctx, hash(code.Reveal()))
	switch {
	case err != nil:
		return d, err
	case !strings.EqualFold(string(d.Client), string(client)) || !now.Before(d.Expires):
		return d, ErrUnknown
	case d.Principal == "":
		return d, ErrPending
	}
	return d, s.store.TakeDevice(ctx, d.Hash)
}

// letters of user codes: consonants, which make no words and are not taken for digits.
const letters = "BCDFGHJKLMNPQRSTVWXZ"

// codeLength is how many letters a user code has: 34 bits, for a quarter of an hour.
const codeLength = 8

// newUserCode returns XXXX-XXXX.
func newUserCode() string {
	text := make([]byte, 0, codeLength)
	for len(text) < codeLength {
		p := make([]byte, codeLength)
		_, _ = rand.Read(p) // never fails (crypto/rand)
		for _, b := range p {
			if n := int(b); n < 256/len(letters)*len(letters) && len(text) < codeLength { // else some letters were likelier
				text = append(text, letters[n%len(letters)])
			}
		}
	}
	return string(text[:codeLength/2]) + "-" + string(text[codeLength/2:])
}

// normalUserCode forgives how people type a code.
func normalUserCode(typed string) string {
	var kept []byte
	for _, b := range []byte(strings.ToUpper(typed)) {
		if strings.IndexByte(letters, b) >= 0 && len(kept) < codeLength {
			kept = append(kept, b)
		}
	}
	if len(kept) < codeLength {
		return ""
	}
	return fmt.Sprintf("%s-%s", kept[:codeLength/2], kept[codeLength/2:])
}

// UseAssertion refuses what was used before, ErrUsed: what names an assertion together
// with what it was used for.
func (s *Service) UseAssertion(ctx context.Context, what string, expires, now time.Time) error {
	return s.store.UseAssertion(ctx, hash(what), expires, now)
}

package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

// NewUser is a user to be made on the machine of the server.
type NewUser struct {
	Name        string // name@domain
	DisplayName string
	Password    secret.String // of those who are not invited
	Owner       bool          // of everything
}

// users makes users in the database that a configuration names, whether its server runs or
// not: who can write there needs no right besides.
type users struct {
	db        *sqlstore.DB
	directory *identity.Directory
}

func withUsers(ctx context.Context, config Config, fn func(ctx context.Context, u users) error) (err error) {
	db, err := openShared(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	u := users{db, &identity.Directory{Store: sqlstore.Principals{DB: db}}}
	return db.InTx(ctx, func(ctx context.Context) error { return fn(ctx, u) }) // nobody else waits in this process
}

func (u users) make(ctx context.Context, wanted NewUser, now time.Time) (p identity.Principal, err error) {
	p = identity.Principal{UserName: wanted.Name, DisplayName: wanted.DisplayName, Created: now}
	if wanted.Password.Empty() {
		p, err = u.directory.NewGuest(ctx, p)
	} else {
		p, err = u.directory.NewUser(ctx, p, wanted.Password)
	}
	if err != nil || !wanted.Owner {
		return p, err
	}
	return p, sqlstore.Assignments{DB: u.db}.PutAssignment(ctx, ownership(p, now))
}

// CreateUser makes a user with a password. It returns the user's object ID.
func CreateUser(ctx context.Context, config Config, wanted NewUser) (id identity.ObjectID, err error) {
	err = withUsers(ctx, config, func(ctx context.Context, u users) error {
		if err := identity.CheckPassword(wanted.Name, wanted.Password); err != nil {
			return err
		}
		p, err := u.make(ctx, wanted, time.Now())
		id = p.ObjectID
		return err
	})
	if errors.Is(err, identity.ErrExists) {
		return "", problem.New(problem.Conflict, "UserExists", "There is a user '%s' already.", wanted.Name).
			Hint("acrux admin invite %s --data %s, for another password", wanted.Name, config.Data)
	}
	return id, err
}

// Invitation lets a user choose a password, once.
type Invitation struct {
	Code    secret.String
	User    identity.Principal
	Expires time.Time
	New     bool // the user was made for it
}

// Invite makes an invitation of a user, and the user if there is none of that name. One who
// was invited before has the new invitation only; whoever has a password keeps it until then.
func Invite(ctx context.Context, config Config, wanted NewUser) (i Invitation, err error) {
	wanted.Password = secret.String{}
	err = withUsers(ctx, config, func(ctx context.Context, u users) error {
		now := time.Now()
		if i.User, err = u.directory.PrincipalByUserName(ctx, lower(wanted.Name)); errors.Is(err, identity.ErrNotFound) {
			i.New = true
			i.User, err = u.make(ctx, wanted, now)
		}
		switch {
		case err != nil:
			return err
		case i.User.Disabled:
			return problem.New(problem.Conflict, "UserDisabled", "The user '%s' is disabled.", i.User.UserName).
				Hint("az ad user update --id %s --account-enabled true", i.User.UserName)
		case wanted.Owner && !i.New:
			return problem.New(problem.Conflict, "UserExists", "There is a user '%s' already, who does not become an owner by an invitation.",
				i.User.UserName).Hint("az role assignment create --assignee %s --role Owner --scope SCOPE", i.User.UserName)
		}
		code, kept, err := signin.NewService(sqlstore.SignIn{DB: u.db}).Invite(ctx, i.User.ObjectID, now)
		i.Code, i.Expires = code, kept.Expires
		return err
	})
	return i, err
}

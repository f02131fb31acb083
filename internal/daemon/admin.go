package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/secret"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
)

// Admin is the first administrator as the data directory keeps it: with the secret
// in the clear, readable by the owner alone, until it is forgotten. The database has
// only a hash.
type Admin struct {
	ClientID string `json:"clientId"`
	Secret   string `json:"secret,omitempty"`
}

func adminFile(data string) string { return filepath.Join(data, "keys", "admin.json") }

// ReadAdmin reads the administrator's sign-in from a data directory.
func ReadAdmin(data string) (Admin, error) {
	var admin Admin
	text, err := os.ReadFile(adminFile(data))
	if err != nil {
		return admin, err
	}
	if err := json.Unmarshal(text, &admin); err != nil || admin.ClientID == "" {
		return admin, fmt.Errorf("%s is damaged: put it back from a copy, or remove it, and the next start makes another administrator", adminFile(data))
	}
	return admin, nil
}

// ForgetSecret removes the clear copy of the administrator's secret. It reports
// whether there was one.
func ForgetSecret(data string) (bool, error) {
	admin, err := ReadAdmin(data)
	if err != nil || admin.Secret == "" {
		return false, err
	}
	admin.Secret = ""
	return true, writeAdmin(data, admin)
}

func writeAdmin(data string, admin Admin) error {
	text, err := json.MarshalIndent(admin, "", "  ")
	if err != nil {
		return err
	}
	return secret.WriteFile(adminFile(data), append(text, '\n'))
}

// owner is the role of the first administrator, at the root.
const owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

// ensureAdmin makes the first administrator if the data directory does not know one.
// The clear copy is written after the commit: a crash in between leaves a principal
// whose secret nobody ever saw, and the next start makes another.
func ensureAdmin(ctx context.Context, store resource.Transactor, directory *identity.Directory, assignments rbac.Store, data string, now time.Time) error {
	if _, err := ReadAdmin(data); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var admin Admin
	err := store.InTx(ctx, func(ctx context.Context) error {
		p, text, err := directory.NewApplication(ctx, "acrux-admin", now)
		if err != nil {
			return err
		}
		admin = Admin{ClientID: string(p.ClientID), Secret: text.Reveal()}
		return assignments.PutAssignment(ctx, rbac.Assignment{Name: uuid.NewString(), Scope: arm.ID{}, PrincipalID: p.ObjectID,
			PrincipalType: "ServicePrincipal", RoleID: owner, Created: now, CreatedBy: string(p.ObjectID)})
	})
	if err != nil {
		return fmt.Errorf("making the first administrator: %w", err)
	}
	return writeAdmin(data, admin)
}

// Published is what a running or stopped server says of itself to programs on the
// same machine: server.json in the data directory.
type Published struct {
	Address        string `json:"address"` // ip:port to dial
	Domain         string `json:"domain"`
	Port           string `json:"port"`
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	CABundle       string `json:"caBundle"` // file
}

// URL is the address of one of the hosts, without a trailing slash.
func (p Published) URL(host string) string { return "https://" + host + "." + p.Suffix() }

// Suffix is the domain with the port, if it is not 443.
func (p Published) Suffix() string {
	if p.Port == "443" {
		return p.Domain
	}
	return p.Domain + ":" + p.Port
}

func publishedFile(data string) string { return filepath.Join(data, "server.json") }

// ReadPublished reads what the server of a data directory says of itself.
func ReadPublished(data string) (Published, error) {
	var p Published
	text, err := os.ReadFile(publishedFile(data))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p); err != nil || p.Domain == "" {
		return p, fmt.Errorf("%s is damaged; the server writes it again when it starts", publishedFile(data))
	}
	return p, nil
}

func writePublished(data string, p Published) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return secret.WriteFile(publishedFile(data), append(text, '\n'))
}

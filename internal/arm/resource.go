package arm

import (
	"encoding/json"
	"time"
)

// Resource is a resource of one kind: the envelope and the properties P.
type Resource[P any] struct {
	ID         ID
	Location   string
	Tags       map[string]string
	SKU        *SKU
	Identity   *Identity
	ETag       string
	Properties P
	Created    time.Time
	Updated    time.Time
	CreatedBy  string // object ID of the principal
	UpdatedBy  string
}

// SKU is the tier of a resource.
type SKU struct {
	Name string `json:"name"`
	Tier string `json:"tier,omitempty"`
}

// envelope is a Resource on the wire.
type envelope struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	SKU        *SKU              `json:"sku,omitempty"`
	Identity   json.RawMessage   `json:"identity,omitempty"`
	SystemData *systemData       `json:"systemData,omitempty"`
	Properties any               `json:"properties"`
}

type systemData struct {
	CreatedBy          string `json:"createdBy,omitempty"`
	CreatedByType      string `json:"createdByType,omitempty"`
	CreatedAt          string `json:"createdAt,omitempty"`
	LastModifiedBy     string `json:"lastModifiedBy,omitempty"`
	LastModifiedByType string `json:"lastModifiedByType,omitempty"`
	LastModifiedAt     string `json:"lastModifiedAt,omitempty"`
}

// MarshalJSON renders the resource as Resource Manager does.
func (r Resource[P]) MarshalJSON() ([]byte, error) {
	e := envelope{ID: r.ID.String(), Name: r.ID.Name(), Type: r.typ(), Location: r.Location,
		Tags: r.Tags, SKU: r.SKU, Properties: r.Properties}
	if r.ID.Namespace == withIdentity {
		var err error
		if e.Identity, err = r.Identity.MarshalJSON(); err != nil {
			return nil, err
		}
	}
	if !r.Created.IsZero() {
		e.SystemData = &systemData{CreatedBy: r.CreatedBy, CreatedByType: "Application", CreatedAt: Time(r.Created),
			LastModifiedBy: r.UpdatedBy, LastModifiedByType: "Application", LastModifiedAt: Time(r.Updated)}
	}
	return json.Marshal(e)
}

// typ is the resource type; groups, which have none in their ID, have one as well.
func (r Resource[P]) typ() string {
	if r.ID.Namespace == "" {
		return "Microsoft.Resources/resourceGroups"
	}
	return r.ID.Kind().String()
}

// withIdentity is the namespace whose resources have an identity block, null if
// nothing is assigned.
const withIdentity = "Microsoft.ContainerRegistry"

// Time renders a time as Resource Manager does: UTC, seven fractional digits.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// Page is a list answer. NextLink is absolute, or empty at the end.
type Page[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

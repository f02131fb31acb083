package registry

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/blob"
)

// Errors of a Store. The service turns them into problems.
var (
	ErrNoRepository = errors.New("no such repository")
	ErrNoManifest   = errors.New("no such manifest")
	ErrNoBlob       = errors.New("no such blob in the repository")
	ErrNoUpload     = errors.New("no such upload")
	ErrUploadMoved  = errors.New("the upload was changed by another request")
)

// Name is a repository of a registry; Registry is the registry's name in lower case.
type Name struct {
	Registry   string
	Repository string
}

// Repository is a repository as the metadata API shows it.
type Repository struct {
	Name
	Created, Updated time.Time
	Tags, Manifests  int64
	Attributes       Attributes
}

// Attributes are the switches of a repository, tag or manifest, as bits.
type Attributes int

// The switches. All are on in the beginning.
const (
	DeleteEnabled Attributes = 1 << iota
	WriteEnabled
	ReadEnabled
	ListEnabled
)

// Blob is a blob that a repository may read.
type Blob struct {
	Digest     digest.Digest
	Size       int64
	Key        blob.Key
	Attributes Attributes // of the repository; filled in by Store.Blob only
	Unused     time.Time  // since when no manifest of the repository names it; zero while one does; filled in by Store.Blob only
}

// Manifest is a manifest of a repository.
type Manifest struct {
	Digest       digest.Digest
	MediaType    string
	ArtifactType string
	ConfigType   string
	Subject      digest.Digest
	Annotations  map[string]string
	Architecture string
	OS           string
	Size         int64 // of the manifest itself
	ImageSize    int64 // with everything it names
	Created      time.Time
	Updated      time.Time
	Deleted      time.Time // zero unless it can only be restored
	Pulled       time.Time // last; zero if never
	Pulls        int64
	Attributes   Attributes
	Effective    Attributes      // with those of the repository, and of the tag it was found by; filled in by Store.Manifest only
	Body         []byte          // filled in by Store.Manifest only
	Blobs        []digest.Digest // to be stored: what it names
	Children     []digest.Digest
	Loose        []digest.Digest // the children that may be blobs, for their type is none of a manifest
	Tags         []string        // by name; filled in by Store.Manifests
	MoreTags     bool            // there are others; filled in by Store.Manifests

	config digest.Digest // of an image
}

// Tag is a tag of a repository.
type Tag struct {
	Name             string
	Digest           digest.Digest
	Created, Updated time.Time
	Pulled           time.Time // last; zero if never
	Pulls            int64
	Attributes       Attributes
}

// Upload is a blob push in progress.
type Upload struct {
	ID      string
	Name    Name
	State   blob.State
	Expires time.Time
	Version int64 // grows with every change; refuses a second writer
}

// Target is what a push finds where it goes.
type Target struct {
	// The switches of what it changes.
	Repository Attributes
	Manifest   Attributes            // all of them if it is a new one
	Tags       map[string]Attributes // of those that are there
	// The first that the manifest names and the repository does not have, or "".
	MissingBlob, MissingChild digest.Digest
	// Of those that may be blobs the ones that are, and no manifests.
	Loose []digest.Digest
}

// Page bounds a listing: at most N entries after Last. In a listing by time After is the
// time of Last.
type Page struct {
	Last  string
	After time.Time
	N     int
}

// Store keeps the metadata of registries' contents. Methods take part in ctx's
// transaction. Those that read a repository return ErrNoRepository if there is none.
type Store interface {
	resource.Transactor

	Repository(ctx context.Context, name Name) (Repository, error)
	// Repositories lists those that are to be listed.
	Repositories(ctx context.Context, registry string, page Page) ([]string, error)
	// Size is how many bytes the content of a registry has; what several of its
	// repositories have in common counts once. It is kept, not counted.
	Size(ctx context.Context, registry string) (int64, error)
	// RepositorySize is the same for one repository, or ErrNoRepository.
	RepositorySize(ctx context.Context, name Name) (int64, error)
	// EnsureRepository makes the repository if there is none.
	EnsureRepository(ctx context.Context, name Name, now time.Time) error
	// DeleteRepository, DeleteManifest (with its tags) and DeleteTag take things away; if
	// keep is set, into the Trash. Of what went for good, collection takes the content.
	DeleteRepository(ctx context.Context, name Name, now time.Time, keep bool) error

	// Blob returns a blob linked to the repository, or ErrNoBlob.
	Blob(ctx context.Context, name Name, d digest.Digest) (Blob, error)
	// Target returns what a push of the manifest under the tags finds.
	Target(ctx context.Context, name Name, m Manifest, tags []string) (Target, error)
	// Holder names a repository of the registry that has the blob and may be read, or ErrNoBlob.
	Holder(ctx context.Context, registry string, d digest.Digest) (string, error)
	// AddBlob records a committed blob and links it. If the digest is known already,
	// the known copy is linked and returned; the caller then deletes its own.
	AddBlob(ctx context.Context, name Name, b Blob, now time.Time) (Blob, error)
	// UnlinkBlob takes the blob from the repository, or ErrNoBlob.
	UnlinkBlob(ctx context.Context, name Name, d digest.Digest) error
	// TouchBlob begins the grace of an unused blob anew.
	TouchBlob(ctx context.Context, name Name, d digest.Digest, now time.Time) error

	// Manifest finds by tag or digest, or ErrNoManifest.
	Manifest(ctx context.Context, name Name, reference string) (Manifest, error)
	// Manifests and Tags list what the query selects. The time they take depends on how many
	// they return, not on how many there are.
	Manifests(ctx context.Context, name Name, query ManifestQuery) ([]Manifest, error)
	// Referrers lists those that are to be listed.
	Referrers(ctx context.Context, name Name, query ReferrerQuery) ([]Manifest, error)
	// PutManifest writes the manifest with its links; known ones stay as they are.
	PutManifest(ctx context.Context, name Name, m Manifest) error
	DeleteManifest(ctx context.Context, name Name, d digest.Digest, now time.Time, keep bool) error

	Tag(ctx context.Context, name Name, tag string) (Tag, error)
	Tags(ctx context.Context, name Name, query TagQuery) ([]Tag, error)
	PutTag(ctx context.Context, name Name, tag string, d digest.Digest, now time.Time) error
	DeleteTag(ctx context.Context, name Name, tag string, now time.Time, keep bool) error
	// DeleteTags does that to those of the tags that are as they were seen, with the same
	// manifest and time, and have the attributes. It tells which, in the order given.
	DeleteTags(ctx context.Context, name Name, seen []Tag, need Attributes, now time.Time, keep bool) (gone []Tag, err error)

	// SetAttributes turns switches on and off, of a repository (reference is empty), a
	// tag or a manifest; ErrNoManifest if there is no such tag or manifest.
	SetAttributes(ctx context.Context, name Name, reference string, on, off Attributes) error
	// FirstLock finds something that has one of the switches off: the repository, or
	// what stands above d, a manifest or blob, and d itself (indexes that contain it,
	// tags of all of these); with an empty d any tag and manifest of the repository.
	FirstLock(ctx context.Context, name Name, d digest.Digest, need Attributes) (lock Lock, found bool, err error)

	Upload(ctx context.Context, id string) (Upload, error)
	// PutUpload writes the upload; ErrUploadMoved if its version is not the next one. A
	// power failure may undo it.
	PutUpload(ctx context.Context, u Upload) error
	DeleteUpload(ctx context.Context, id string) error
	// BegunUploads counts the uploads of a registry that have not ended, and their bytes.
	BegunUploads(ctx context.Context, registry string) (n int, bytes int64, err error)
	ExpiredUploads(ctx context.Context, now time.Time) ([]Upload, error)

	AddEvent(ctx context.Context, events ...Event) error
	// AddPulls counts pulls of a manifest and the tag it was found by, if any.
	AddPulls(ctx context.Context, p Pulls) error
}

// Order is the order of a listing of tags or manifests.
type Order string

// The orders.
const (
	ByName   Order = ""
	TimeAsc  Order = "timeasc"
	TimeDesc Order = "timedesc"
)

// TagQuery selects tags, of those that are to be listed.
type TagQuery struct {
	Page
	Order  Order
	Digest digest.Digest // only tags of this manifest
}

// ManifestQuery selects manifests.
type ManifestQuery struct {
	Page
	Order  Order // ByName is by digest
	Hidden bool  // also those that are not to be listed
	Tags   int   // how many tags each of them has at most; 0: all
}

// ReferrerQuery selects manifests with this subject, by digest.
type ReferrerQuery struct {
	Page
	Subject      digest.Digest
	ArtifactType string // only of this type; empty is any
}

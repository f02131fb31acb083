package blobapi

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/server/edge"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// SourceAccount is the account that source code is uploaded to.
const SourceAccount = "acrctx"

// maxBlockList bounds the body of a list of blocks, in bytes.
const maxBlockList = 8 << 20

// source reads or writes uploaded source code: whole, or in blocks and their list.
func (s *Server) source(w http.ResponseWriter, r *http.Request) error {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if r.Method != http.MethodPut {
		return s.readSource(w, r, path)
	}
	if err := s.mayWrite(r, path); err != nil {
		return err
	}
	if r.ContentLength > upload.MaxSize {
		return tooLarge()
	}
	var err error
	switch r.URL.Query().Get("comp") {
	case "":
		err = s.Uploads.Put(path, r.Body)
	case "block":
		err = s.putBlock(r, path)
	case "blocklist":
		err = s.putBlockList(w, r, path)
	default:
		err = problem.New(problem.Unsupported, "UnsupportedQueryParameter", "This operation on blobs is not available in this version of Acrux.")
	}
	if err != nil {
		return sourceError(err)
	}
	head := w.Header()
	head.Set("ETag", `"0x1"`)
	head.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	head.Set("x-ms-request-server-encrypted", "true")
	head.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func tooLarge() error {
	return problem.New(problem.TooLarge, "RequestBodyTooLarge", "The request body is too large: an upload has at most %d bytes.", int64(upload.MaxSize))
}

func sourceError(err error) error {
	switch {
	case errors.Is(err, upload.ErrNotFound):
		return errNoBlob
	case errors.Is(err, upload.ErrTooLarge):
		return tooLarge()
	case errors.Is(err, upload.ErrTaken):
		return problem.New(problem.Conflict, "BlobImmutableDueToPolicy",
			"The upload is the source of a run or a task and cannot be changed any more. Ask for another upload URL.")
	case errors.Is(err, edge.ErrBody):
		return problem.New(problem.Invalid, "InvalidInput",
			"The request body ended too early, came too slowly or is not well-formed.").Because(err)
	}
	return err
}

func (s *Server) putBlock(r *http.Request, path string) error {
	id, err := base64.StdEncoding.DecodeString(r.URL.Query().Get("blockid"))
	if err != nil || len(id) == 0 {
		return problem.New(problem.Invalid, "InvalidQueryParameterValue", "The block ID is not valid base64.")
	}
	return s.Uploads.PutBlock(path, string(id), r.Body)
}

func (s *Server) putBlockList(w http.ResponseWriter, r *http.Request, path string) error {
	var list struct {
		Blocks []struct {
			XMLName xml.Name
			ID      string `xml:",chardata"`
		} `xml:",any"`
	}
	if err := xml.NewDecoder(http.MaxBytesReader(w, r.Body, maxBlockList)).Decode(&list); err != nil {
		return problem.New(problem.Invalid, "InvalidXmlDocument", "The list of blocks is not valid XML.").Because(err)
	}
	ids := make([]string, 0, len(list.Blocks))
	for _, block := range list.Blocks {
		id, err := base64.StdEncoding.DecodeString(strings.TrimSpace(block.ID))
		if err != nil {
			return problem.New(problem.Invalid, "InvalidBlockId", "The block ID '%s' is not valid base64.", block.ID)
		}
		ids = append(ids, string(id))
	}
	err := s.Uploads.PutBlockList(path, ids)
	if errors.Is(err, upload.ErrNotFound) {
		err = problem.New(problem.Invalid, "InvalidBlockList", "The specified block list is invalid.")
	}
	return err
}

// readSource answers agents, while they execute the run that the URL was made for.
func (s *Server) readSource(w http.ResponseWriter, r *http.Request, path string) error {
	active, err := s.Runs.Active(r.Context(), r.URL.Query().Get(runParameter))
	if err != nil {
		return err
	}
	if !active {
		return errSignature
	}
	f, err := s.Uploads.Open(path)
	if err != nil {
		return sourceError(err)
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("x-ms-blob-type", "BlockBlob")
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

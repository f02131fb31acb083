package armapi

import (
	"context"
	"net/http"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

func (m mounted[P]) delete(ctx context.Context, c *Call) (answer, error) {
	existed := false
	err := m.server.Documents.InTx(ctx, func(ctx context.Context) error {
		if err := m.mayDelete(ctx, c); err != nil {
			return err
		}
		var err error
		existed, err = m.provider.Delete(ctx, c.ID)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	return m.deleted(ctx, c, existed)
}

// deleted answers a DELETE that was done. The newest clients take an empty 200 for pools no
// longer, and all of them take 202 and 204 (az-wire, section 4).
func (m mounted[P]) deleted(ctx context.Context, c *Call, existed bool) (answer, error) {
	if m.opts.Leaving == nil {
		return answer{status: deletedStatus(existed)}, nil
	}
	leaving, err := m.opts.Leaving(ctx, c.ID)
	if err != nil || !leaving {
		return answer{status: http.StatusNoContent}, err
	}
	return m.server.leaving(c.ID), nil
}

func deletedStatus(existed bool) int {
	if existed {
		return http.StatusOK
	}
	return http.StatusNoContent
}

type actionFunc = func(context.Context, *Call) (any, error)

// deletion is the action that tells whether a deleted resource is gone.
const deletion = "deletionStatus"

// leaving says where to look for the end of a deletion. The URL is that of the resource, so
// that nothing has to be kept for it.
func (s *Server) leaving(id arm.ID) answer {
	url := s.Endpoints.Management + id.String() + "/" + deletion + "?api-version=" + operationVersion
	return answer{status: http.StatusAccepted, header: http.Header{"Location": {url}, "Retry-After": {retryAfter}}}
}

// deletionOf is the action of a type whose deleted resources linger: 202 until one is gone.
func (s *Server) deletionOf(leaving func(context.Context, arm.ID) (bool, error)) actionFunc {
	return func(ctx context.Context, c *Call) (any, error) {
		going, err := leaving(ctx, c.ID)
		if err != nil || going {
			return s.leaving(c.ID), err
		}
		return answer{status: http.StatusNoContent}, nil
	}
}

func (m mounted[P]) mayDelete(ctx context.Context, c *Call) error {
	want := c.Request.Header.Get("If-Match")
	if want == "" {
		return nil
	}
	res, err := m.provider.Get(ctx, c.ID)
	if problem.Is(err, problem.NotFound) || err == nil && want != "*" && want != res.ETag {
		return resource.ErrPrecondition()
	}
	return err
}

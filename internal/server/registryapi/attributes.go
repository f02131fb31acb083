package registryapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// attributes are the switches of a repository, tag or manifest on the wire.
type attributes struct {
	Delete bool `json:"deleteEnabled"`
	Write  bool `json:"writeEnabled"`
	Read   bool `json:"readEnabled"`
	List   bool `json:"listEnabled"`
}

func switches(a registry.Attributes) attributes {
	return attributes{Delete: a&registry.DeleteEnabled != 0, Write: a&registry.WriteEnabled != 0,
		Read: a&registry.ReadEnabled != 0, List: a&registry.ListEnabled != 0}
}

// updateAttributes changes the switches that the body names, and answers with the
// document that a GET has.
func (c *call) updateAttributes() error {
	show, reference := (*call).showRepository, c.req.Reference
	switch c.req.Kind {
	case acrTag:
		show = (*call).showTag
	case acrManifest:
		d, err := parseDigest(reference)
		if err != nil {
			return err
		}
		show, reference = (*call).showManifest, d.String()
	}
	body, err := c.readBody(maxAttributes)
	if err != nil {
		return err
	}
	on, off, err := parseSwitches(body)
	if err != nil {
		return err
	}
	if err := c.server.Content.SetAttributes(c.Context(), c.repository(), reference, on, off); err != nil {
		return err
	}
	return show(c)
}

// maxAttributes bounds the body of a change of attributes, in bytes.
const maxAttributes = 64 << 10

func (c *call) readBody(limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, problem.New(problem.TooLarge, "SIZE_INVALID", "the request body has more than %d bytes", limit).Because(err)
	}
	if err != nil {
		return nil, c.uploadError(err)
	}
	return body, nil
}

// parseSwitches reads which switches to turn on and off. Null says nothing, as
// everywhere in Azure.
func parseSwitches(body []byte) (on, off registry.Attributes, err error) {
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return 0, 0, problem.New(problem.Invalid, "INVALID_REQUEST", "the request body is not a JSON object").Because(err)
	}
	for name, value := range members {
		bit, known := registry.SwitchNamed(name)
		enabled, isBool := value.(bool)
		switch {
		case value == nil:
		case name == "quarantineState" || name == "quarantineDetails":
			return 0, 0, problem.New(problem.Unsupported, "UNSUPPORTED", "quarantine (%s) is not available in this version of Acrux", name).On(name)
		case !known:
			return 0, 0, problem.New(problem.Invalid, "INVALID_REQUEST", "%q is none of deleteEnabled, writeEnabled, readEnabled, listEnabled", name).On(name)
		case !isBool:
			return 0, 0, problem.New(problem.Invalid, "INVALID_REQUEST", "%s is neither true nor false", name).On(name)
		case enabled:
			on |= bit
		default:
			off |= bit
		}
	}
	return on, off, nil
}

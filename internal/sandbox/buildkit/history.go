package buildkit

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
)

// hideHistory applies hide to what the configurations of a built image tell about the
// commands that made it: values of build arguments stand there, and whoever may pull the
// image can read them.
func hideHistory(res *gateway.Result, hide func(string) string) error {
	if hide == nil || res == nil {
		return nil
	}
	for key, text := range res.Metadata {
		if key != exptypes.ExporterImageConfigKey && !strings.HasPrefix(key, exptypes.ExporterImageConfigKey+"/") {
			continue
		}
		hidden, err := hideCommands(text, hide)
		if err != nil {
			return fmt.Errorf("the configuration of a built image: %w", err)
		}
		res.Metadata[key] = hidden
	}
	return nil
}

func hideCommands(config []byte, hide func(string) string) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(config, &members); err != nil {
		return nil, err
	}
	var history []map[string]any
	if err := json.Unmarshal(members["history"], &history); err != nil || len(history) == 0 {
		return config, nil // there is none
	}
	for _, step := range history {
		if command, ok := step["created_by"].(string); ok {
			step["created_by"] = hide(command)
		}
	}
	text, err := json.Marshal(history)
	if err != nil {
		return nil, err
	}
	members["history"] = text
	return json.Marshal(members)
}

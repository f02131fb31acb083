package buildkit

import (
	"strings"
	"testing"

	gateway "github.com/moby/buildkit/frontend/gateway/client"
)

func TestHideHistory(t *testing.T) {
	hide := strings.NewReplacer("opensesame", "***").Replace
	for name, test := range map[string]struct{ key, config, want string }{
		"arguments": {"containerimage.config", `{"architecture":"amd64","history":[{"created_by":"ARG WORD=opensesame","empty_layer":true},{"created_by":"RUN |1 WORD=opensesame /bin/sh -c true"}]}`,
			`{"architecture":"amd64","history":[{"created_by":"ARG WORD=***","empty_layer":true},{"created_by":"RUN |1 WORD=*** /bin/sh -c true"}]}`},
		"a platform":    {"containerimage.config/linux/amd64", `{"history":[{"created_by":"ARG WORD=opensesame"}]}`, `{"history":[{"created_by":"ARG WORD=***"}]}`},
		"no command":    {"containerimage.config", `{"history":[{"comment":"opensesame"}]}`, `{"history":[{"comment":"opensesame"}]}`},
		"no history":    {"containerimage.config", `{"config":{"Env":["A=opensesame"]}}`, `{"config":{"Env":["A=opensesame"]}}`},
		"null":          {"containerimage.config", `{"history":null}`, `{"history":null}`},
		"another thing": {"refs.platforms", `{"history":[{"created_by":"opensesame"}]}`, `{"history":[{"created_by":"opensesame"}]}`},
	} {
		res := gateway.NewResult()
		res.AddMeta(test.key, []byte(test.config))
		if err := hideHistory(res, hide); err != nil || string(res.Metadata[test.key]) != test.want {
			t.Errorf("%s: %s, %v", name, res.Metadata[test.key], err)
		}
		if err := hideHistory(res, nil); err != nil {
			t.Errorf("%s: nothing to hide: %v", name, err)
		}
	}
	broken := gateway.NewResult()
	broken.AddMeta("containerimage.config", []byte(`{`))
	if err := hideHistory(broken, hide); err == nil {
		t.Error("a broken configuration is taken")
	}
}

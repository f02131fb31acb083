package compat_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/acrux/acrux/test/fixture"
)

var record = flag.Bool("record", false, "record what the Azure CLI sends, for the replay in internal/server/servertest")

// recording is where the requests of a release go.
func recording(release string) string {
	return "../../internal/server/servertest/testdata/az-" + release + ".jsonl"
}

// everyday are commands whose requests are recorded. {G} is the ID of the group,
// {principalId} and {appId} are the last that an answer had. None of them makes the server
// fetch anything.
var everyday = []string{
	"group create --name recorded --location eastus --tags a=b",
	"group show --name recorded",
	"group exists --name recorded",
	"group list",
	"acr check-name --name recordedone",
	"acr create --resource-group recorded --name recordedone --sku Basic",
	"acr create --resource-group recorded --name recordedtwo --sku Standard --admin-enabled true",
	"acr list",
	"acr show --name recordedone",
	"acr update --name recordedone --sku Premium --tags a=b",
	"acr update --name recordedone --anonymous-pull-enabled true",
	"acr show-usage --name recordedone",
	"acr credential show --name recordedtwo",
	"acr credential renew --name recordedtwo --password-name password2",
	"identity create --resource-group recorded --name one",
	"identity show --resource-group recorded --name one",
	"identity list --resource-group recorded",
	"identity federated-credential create --resource-group recorded --identity-name one --name ci1 --issuer https://issuer.example --subject a --audiences api://AzureADTokenExchange",
	"identity federated-credential list --resource-group recorded --identity-name one",
	"identity federated-credential delete --resource-group recorded --identity-name one --name ci1 --yes",
	"acr identity assign --name recordedone --identities [system] {G}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one",
	"acr identity show --name recordedone",
	"acr identity remove --name recordedone --identities [system]",
	"role definition list --name AcrPull",
	"role assignment create --assignee {principalId} --role acrpull --scope {G}",
	"ad sp list --display-name one",
	"ad sp create-for-rbac --name recorded-ci --role Reader --scopes {G}",
	"role assignment list --scope {G}",
	"role assignment delete --assignee {appId} --role Reader --scope {G}",
	"ad sp show --id {appId}",
	"ad user create --display-name Ada --user-principal-name ada@acrux.localhost --password Correct-Horse-4711",
	"ad user show --id ada@acrux.localhost",
	"acr task create --registry recordedone --name recorded --context /dev/null --cmd $Registry/nothing --assign-identity [system] {G}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one",
	"acr task show --registry recordedone --name recorded",
	"acr task list --registry recordedone",
	"acr task update --registry recordedone --name recorded --cpu 4 --status Disabled",
	"acr task update --registry recordedone --name recorded --status Enabled",
	"acr task credential add --registry recordedone --name recorded --login-server other.example --username u --password Secret-0815",
	"acr task credential add --registry recordedone --name recorded --login-server another.example --use-identity [system]",
	"acr task credential list --registry recordedone --name recorded",
	"acr task credential remove --registry recordedone --name recorded --login-server other.example",
	"acr task credential remove --registry recordedone --name recorded --login-server another.example",
	"acr task timer add --registry recordedone --name recorded --timer-name noon --schedule 0~12~*~*~*",
	"acr task timer update --registry recordedone --name recorded --timer-name noon --enabled false",
	"acr task timer list --registry recordedone --name recorded",
	"acr task timer remove --registry recordedone --name recorded --timer-name noon",
	"acr task identity show --registry recordedone --name recorded",
	"acr agentpool create --registry recordedone --name pool1 --no-wait",
	"acr agentpool show --registry recordedone --name pool1 --queue-count",
	"acr agentpool list --registry recordedone",
	"acr task run --registry recordedone --name recorded --no-wait",
	"acr run --registry recordedone --cmd $Registry/nothing --agent-pool pool1 --no-wait /dev/null",
	"acr task list-runs --registry recordedone --top 1",
	"acr taskrun list --registry recordedone",
	"tag list --resource-id {G}",
	"tag update --resource-id {G} --operation Merge --tags c=d",
	"resource list --resource-type Microsoft.ContainerRegistry/registries",
	"resource show --resource-group recorded --resource-type Microsoft.ContainerRegistry/registries --name recordedone",
	"acr task delete --registry recordedone --name recorded --yes",
	"ad sp delete --id {appId}",
	"ad user delete --id ada@acrux.localhost",
	"acr delete --name recordedtwo --yes",
	"identity delete --resource-group recorded --name one",
	"group delete --name recorded --yes",
}

// exchange is a request of the client and what it got. What is of one installation stands
// in braces: {D} is its domain with the port, {S} its subscription, {T} its tenant.
type exchange struct {
	Command string          `json:"command"`
	Method  string          `json:"method"`
	URL     string          `json:"url"`
	Body    string          `json:"body,omitempty"`
	Status  string          `json:"status"`
	Answer  json.RawMessage `json:"answer,omitempty"`
}

// TestRecord writes the recordings anew: go test -run TestRecord -record.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("it only records, with -record")
	}
	t.Run("stock", func(t *testing.T) {
		need(t, azProgram)
		stock.record(t)
	})
	t.Run("newest", func(t *testing.T) {
		startNewest(t).record(t)
	})
}

func (c azClient) record(t *testing.T) {
	t.Helper()
	s := newWorld(t).serve(t, "")
	config := c.signIn(t, s)
	program := must[string](t)(exec.LookPath("az"))
	group := "/subscriptions/" + s.Published.SubscriptionID + "/resourceGroups/recorded"
	var all []exchange
	known := map[string]string{"G": group}
	for _, line := range everyday {
		args := strings.Fields(line)
		for i := range args {
			for name, value := range known {
				args[i] = strings.ReplaceAll(strings.ReplaceAll(args[i], "~", " "), "{"+name+"}", value)
			}
		}
		cmd := exec.Command(program, append(args, "--debug", "--output", "none")...)
		cmd.Env = append(append(os.Environ(), azEnviron()...), "AZURE_CONFIG_DIR="+config, "REQUESTS_CA_BUNDLE="+s.Published.CABundle, "SSL_CERT_FILE="+s.Published.CABundle)
		cmd.Dir, cmd.Env = config, append(cmd.Env, azSocket+"="+c.socket)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("az %s: %v: %s", line, err, out)
		}
		said := exchanges(line, general(s, string(out)))
		for _, e := range said {
			var answer struct {
				AppID      string `json:"appId"`
				Properties struct{ PrincipalID string }
			}
			if json.Unmarshal(e.Answer, &answer) != nil {
				continue // a list, or nothing
			}
			if answer.AppID != "" {
				known["appId"] = answer.AppID
			}
			if answer.Properties.PrincipalID != "" {
				known["principalId"] = answer.Properties.PrincipalID
			}
		}
		all = append(all, said...)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for _, e := range all {
		e.Answer = withoutSecrets(t, e.Answer)
		check(t, encoder.Encode(e))
	}
	check(t, os.WriteFile(recording(c.release), text.Bytes(), 0o644))
	t.Logf("%d requests", len(all))
}

// general puts braces in the place of what is of one installation.
func general(s *fixture.Server, text string) string {
	return strings.NewReplacer(s.Published.Suffix(), "{D}", s.Published.SubscriptionID, "{S}", s.Published.TenantID, "{T}").Replace(text)
}

var said = regexp.MustCompile(`(?m)^(?:DEBUG|INFO): cli\.azure\.cli\.core\.(?:sdk\.policies|util): (.*)$`)

// exchanges finds requests and answers in what --debug prints.
func exchanges(command, log string) []exchange {
	var all []exchange
	var lines []string
	for _, m := range said.FindAllStringSubmatch(log, -1) {
		lines = append(lines, m[1])
	}
	quoted := func(line string) string { return strings.Trim(line[strings.Index(line, ": ")+2:], "'") }
	for i, line := range lines {
		if strings.HasPrefix(line, "Request URL: ") {
			all = append(all, exchange{Command: command, URL: quoted(line)})
			continue
		}
		if len(all) == 0 {
			continue
		}
		at := &all[len(all)-1]
		switch {
		case strings.HasPrefix(line, "Request method: "):
			at.Method = quoted(line)
		case line == "Request body:" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "{"):
			at.Body = lines[i+1]
		case strings.HasPrefix(line, "Response status: "):
			at.Status = strings.Fields(quoted(line))[0]
		case line == "Response content:" && i+1 < len(lines) && json.Valid([]byte(lines[i+1])):
			at.Answer = json.RawMessage(lines[i+1])
		}
	}
	return all
}

// withoutSecrets blanks the secrets of an answer.
func withoutSecrets(t *testing.T, answer json.RawMessage) json.RawMessage {
	t.Helper()
	if len(answer) == 0 {
		return nil
	}
	var v any
	check(t, json.Unmarshal(answer, &v))
	blank(v)
	return must[[]byte](t)(json.Marshal(v))
}

func blank(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, named := v["name"]
		for name, member := range v {
			if text, ok := member.(string); ok && (name == "secretText" || name == "value" && named && strings.HasPrefix(v["name"].(string), "password")) && text != "" {
				v[name] = "***"
			}
			blank(member)
		}
	case []any:
		for _, member := range v {
			blank(member)
		}
	}
}

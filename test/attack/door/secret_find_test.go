package door_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// documents are all listings and documents that somebody may read.
func (w *world) documents(t *testing.T, p *person) []byte {
	t.Helper()
	reg := w.registry(group1, first)
	var all bytes.Buffer
	for _, path := range []string{reg, reg + "/tasks", reg + "/tasks/tells1", reg + "/tasks/builds1",
		reg + "/runs", reg + "/tokens", reg + "/tokens/secretive", reg + "/scopeMaps", reg + "/taskRuns",
		w.group(group1), w.group(group1) + "/resources", w.subscription() + "/resources",
		w.group(group1) + "/providers/Microsoft.ContainerRegistry/registries",
		reg + "/providers/Microsoft.Authorization/roleAssignments"} {
		a := w.arm(t, p, "GET", path, "")
		if a.status != 200 && a.status != 403 {
			t.Errorf("%s: %d %s", a.request, a.status, a.body)
		}
		all.WriteString(a.body)
	}
	for _, path := range []string{"/applications", "/servicePrincipals", "/users"} {
		all.WriteString(w.graph(t, p, "GET", path, "").ok(t).body)
	}
	return all.Bytes()
}

// image is all that a registry tells of the image that the run has built.
func (w *world) image(t *testing.T) []byte {
	t.Helper()
	who := basic(refresher, w.admin.refresh(t, first))
	m := w.v2(t, first, who, "GET", "/v2/built/manifests/1", "").ok(t)
	config := w.v2(t, first, who, "GET", "/v2/built/blobs/"+m.text("config", "digest"), "").ok(t)
	if !strings.Contains(config.body, "TOKEN is") {
		t.Errorf("the history is not that of the build: %s", config.body)
	}
	return []byte(m.body + config.body)
}

// Secrets are seen by those to whom they are given, and found nowhere else.
func TestSecrets(t *testing.T) {
	w := theWorld(t, "secretive", "logLevel: debug\nagent: {stepNetwork: none, slots: 2}\n")
	secrets, said := w.hide(t)
	reader := w.newOne(t, "secretive reader", "Reader", w.subscription())
	places := map[string][]byte{"documents for the administrator": w.documents(t, w.admin),
		"documents for a reader": w.documents(t, reader),
		"answers and logs":       said, "image": w.image(t)}
	t.Run("control: what is no secret is seen", func(t *testing.T) {
		for _, name := range []string{"documents for the administrator", "documents for a reader", "answers and logs"} {
			if !shows(places[name], visible) {
				t.Errorf("not in the %s", name)
			}
		}
	})
	t.Run("control: the run had the secrets", func(t *testing.T) {
		for _, line := range []string{"visible: " + visible, "plain: *** ***", "base64: *** eF***", "hex: ***",
			"TOKEN is ***"} {
			if !bytes.Contains(said, []byte(line)) {
				t.Errorf("no line has %q in %s", line, said)
			}
		}
	})
	t.Run("control: details have the secrets", func(t *testing.T) {
		tasks := w.registry(group1, first) + "/tasks/"
		details := w.arm(t, w.admin, "POST", tasks+"tells1/listDetails", "").ok(t).body +
			w.arm(t, w.admin, "POST", tasks+"builds1/listDetails", "").ok(t).body
		for _, name := range []string{"value of a task", "password of a registry", "token of a context"} {
			if !shows([]byte(details), secrets[name]) {
				t.Errorf("the details do not have the %s: %s", name, details)
			}
		}
	})
	all := files(t, w.Data)
	t.Run("control: what is no secret is in files", func(t *testing.T) {
		for path, content := range all {
			if shows(content, visible) && strings.Contains(path, "acrux.db") {
				return
			}
		}
		t.Error("not found")
	})
	for name, secret := range secrets {
		if len(secret) < 12 {
			t.Fatalf("the %s is %q", name, secret)
		}
		for place, content := range places {
			t.Run(name+" in "+place, func(t *testing.T) {
				if shows(content, secret) {
					t.Errorf("%s stands in the %s: %s", secret, place, around(content, secret))
				}
			})
		}
		t.Run(name+" in files", func(t *testing.T) {
			for path, content := range all {
				if shows(content, secret) {
					t.Errorf("%s stands in %s: %s", secret, path, around(content, secret))
				}
			}
		})
	}
}

// around is where a secret stands, for messages.
func around(content []byte, secret string) string {
	for _, form := range forms(secret) {
		if at := bytes.Index(content, form); at >= 0 {
			return fmt.Sprintf("%q", content[max(0, at-200):min(len(content), at+len(form)+80)])
		}
	}
	return ""
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/oci"
)

// buildImage builds a Dockerfile in a folder or a repository and pushes the result.
func buildImage(ctx context.Context, c *call) (any, error) {
	if len(c.args) != 1 {
		return nil, invalidArgument("give the source location: a folder, or the URL of a git repository or an archive")
	}
	registry, err := c.findRegistry(ctx, c.text("registry"))
	if err != nil {
		return nil, err
	}
	arguments, err := c.values("build-arg", "secret-build-arg")
	if err != nil {
		return nil, err
	}
	timeout, err := c.number("timeout", 3600)
	if err != nil {
		return nil, err
	}
	images, err := c.images(c.client.LoginServer(registry.Name()))
	if err != nil {
		return nil, err
	}
	body := document{"type": "DockerBuildRequest", "imageNames": images, "isPushEnabled": len(images) > 0 && !c.toggle("no-push"), "arguments": arguments,
		"timeout": timeout, "platform": c.platform(), "agentConfiguration": document{"cpu": 2}, "isArchiveEnabled": false,
		"noCache": c.toggle("no-cache"), "target": c.text("target"), "dockerFilePath": c.text("file")}
	c.addAgent(body)
	source := c.args[0]
	dockerfile := c.text("file")
	if isRemote(source) {
		if dockerfile == "-" {
			return nil, invalidArgument("--file - goes with a folder as the source")
		}
		body["sourceLocation"] = source
		return c.schedule(ctx, registry, body)
	}
	switch dockerfile {
	case "-":
		forget, err := c.spool(&dockerfile)
		if err != nil {
			return nil, err
		}
		defer forget()
	case "":
		// Whole, so that it is not looked for below the source or beside it.
		if dockerfile, err = filepath.Abs(filepath.Join(source, "Dockerfile")); err != nil {
			return nil, err
		}
	}
	options := client.PackOptions{Dockerfile: dockerfile}
	if body["sourceLocation"], body["dockerFilePath"], err = c.upload(ctx, registry, source, options); err != nil {
		return nil, err
	}
	return c.schedule(ctx, registry, body)
}

// images are the names to push under, checked before anything is sent. With the login server of
// the registry a name may begin with that or with a name that only the server knows, such as an
// alias; without, with any.
func (c *call) images(loginServer string) ([]string, error) {
	names, _ := c.cmd.Flags().GetStringArray("image") // the table has it
	if c.given("image") && (len(names) == 0 || slices.Contains(names, "")) {
		return nil, invalidArgument("--image is empty")
	}
	for _, name := range names {
		var known []string
		host, _, _ := strings.Cut(name, "/")
		if loginServer != "" && strings.Contains(host, ":") { // aliases have no port
			known = []string{loginServer}
		}
		if err := oci.CheckBuildName(name, known...); err != nil {
			return nil, invalidArgument("--image: %v", err)
		}
	}
	return names, nil
}

// spool writes the standard input to a file of its own and names it.
func (c *call) spool(name *string) (forget func(), err error) {
	text, err := c.readFile("-")
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "Dockerfile_*")
	if err != nil {
		return nil, err
	}
	*name = file.Name()
	_, err = file.Write(text)
	return func() { _ = os.Remove(file.Name()) }, errors.Join(err, file.Close())
}

// isRemote reports whether a source location is fetched by the agent.
func isRemote(source string) bool {
	for _, prefix := range []string{"http://", "https://", "git@", "github.com/", "git://", "oci://"} {
		if strings.HasPrefix(strings.ToLower(source), prefix) {
			return true
		}
	}
	return false
}

// upload packs a folder and sends it to the server. It returns what names the upload
// in a request, and the name of the Dockerfile inside if one was given.
func (c *call) upload(ctx context.Context, registry arm.ID, folder string, o client.PackOptions) (location, name string, err error) {
	c.signals.goesOn("Canceled: nothing was queued")
	archive, err := os.CreateTemp("", "build_archive_*.tar.gz")
	if err != nil {
		return "", "", err
	}
	defer os.Remove(archive.Name())
	defer archive.Close()
	// Nobody else opens it, and who is killed cannot remove it. Some systems do not let that go.
	_ = os.Remove(archive.Name())
	c.warn("Packing source code into tar to upload...")
	bar := c.newProgress()
	defer bar.clear()
	o.Progress = func(bytes int64) { bar.show("Packing", units.BytesSize(float64(bytes))) }
	packed, err := client.PackCompressed(ctx, archive, folder, o)
	if errors.Is(err, client.ErrNoDockerfile) {
		return "", "", fmt.Errorf("%w%s", err, engine.OtherDockerfiles(folder, "", o.Dockerfile))
	}
	if err != nil {
		return "", "", err
	}
	bar.clear()
	if note := heavy(packed.Weight); note != "" {
		c.warn("%s", note)
	}
	size, err := archive.Seek(0, io.SeekCurrent)
	if err != nil {
		return "", "", err
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return "", "", err
	}
	c.warn("Uploading archived source code from '%s'...", archive.Name())
	c.warn("Sending context (%s) to registry: %s...", units.BytesSize(float64(size)), registry.Name())
	var target struct{ UploadURL, RelativePath string }
	if _, err := c.client.Do(ctx, "POST", registry.String()+"/listBuildSourceUploadUrl", tasksVersion, nil, &target); err != nil {
		return "", "", err
	}
	sent := &sending{r: archive, size: size, line: bar}
	if err := c.client.Upload(ctx, target.UploadURL, sent, size); err != nil {
		return "", "", fmt.Errorf("uploading the source code: %w", err)
	}
	return target.RelativePath, packed.Dockerfile, nil
}

// sending tells how much of an upload was read.
type sending struct {
	r          io.Reader
	sent, size int64
	line       *progressLine
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sent += int64(n)
	s.line.show("Uploading", fmt.Sprintf("%s of %s", units.BytesSize(float64(s.sent)), units.BytesSize(float64(s.size))))
	return n, err
}

// manyBytes is from where on somebody may not know what is in his folder.
const manyBytes = 50 << 20

// heavy says of a large folder where most of it lies, and what to do; empty if it is none.
func heavy(w client.Weight) string {
	if w.Bytes < manyBytes {
		return ""
	}
	hint := "add a .dockerignore with what is not needed"
	if w.Ignore {
		hint = "add what is not needed to .dockerignore"
	}
	return fmt.Sprintf("note: the folder has %s, of which %s %s: %s",
		units.BytesSize(float64(w.Bytes)), w.Largest, units.BytesSize(float64(w.LargestBytes)), hint)
}

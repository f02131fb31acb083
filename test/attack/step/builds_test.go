//go:build linux && cgo

package step_test

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// failed is what the log says of a step that failed.
const failed = "encountered an error"

// buildOptions are those of docker build that would lead to the machine.
// directory.
var buildOptions = []stepCase{
	{"control: a build", "build: -f plain .", "marked as successful|Successfully built", failed},
	{"--allow security.insecure", "build: --allow security.insecure -f plain .", "--allow", "Successfully built"},
	{"--network host", "build: --network host -f plain .", "network", "Successfully built"},
	{"--network of another container", "build: --network container:x -f plain .", "network", "Successfully built"},
	{"--output to a directory of the machine", "build: --output type=local,dest=/tmp/acrux-attack -f plain .", "--output", "Successfully built"},
	{"-o to a directory of the machine", "build: -o /tmp/acrux-attack -f plain .", "-o", "Successfully built"},
	{"--iidfile", "build: --iidfile /tmp/acrux-attack -f plain .", "--iidfile", "Successfully built"},
	{"--metadata-file", "build: --metadata-file /tmp/acrux-attack -f plain .", "--metadata-file", "Successfully built"},
	{"--cache-to a directory of the machine", "build: --cache-to type=local,dest=/tmp/acrux-attack -f plain .", "--cache-to", "Successfully built"},
	{"--cache-from a directory of the machine", "build: --cache-from type=local,src=/etc -f plain .", "--cache-from", "Successfully built"},
	{"--cache-to of another kind", "build: --cache-to type=s3,bucket=x,endpoint_url=http://169.254.169.254 -f plain .", "--cache-to", "Successfully built"},
	{"--cache-from of another kind", "build: --cache-from type=gha,url=http://169.254.169.254 -f plain .", "--cache-from", "Successfully built"},
	{"--build-context of the machine", "build: --build-context x=/etc -f plain .", "/etc: no such directory", "Successfully built"},
	{"--build-context above", "build: --build-context x=../../../../etc -f plain .", "../../../../etc: no such directory", "Successfully built"},
	{"--build-context of a layout", "build: --build-context x=oci-layout:///etc -f plain .", "oci-layout", "Successfully built"},
	{"--build-context at a URL", "build: --build-context x=http://169.254.169.254/x.tar -f plain .", "169.254.169.254", "Successfully built"},
	{"--secret of the machine", "build: --secret id=one,src=/etc/passwd -f secret .", "could not read the secret one", "root:"},
	{"--secret above", "build: --secret id=one,src=../../../../../../../etc/passwd -f secret .", "could not read the secret one", "root:"},
	{"--secret of a process", "build: --secret id=one,src=/proc/self/environ -f secret .", "could not read the secret one", "word-of"},
	{"--secret through a link", "build: --secret id=one,src=to-canary -f secret .", "could not read the secret one", "Successfully built"},
	{"--secret of a variable that only the server has", "build: --secret id=one,env=MACHINE_WORD -f secret .", "secret is ()", "word-of"},
	{"--ssh with the machine's agent", "build: --ssh default -f plain .", "--ssh", "Successfully built"},
	{"--ssh with a key of the machine", "build: --ssh default=/root/.ssh/id_rsa -f plain .", "could not read the key default", "Successfully built"},
	{"--file of the machine", "build: -f /etc/passwd .", "failed to scan dependencies", "root:"},
	{"--file above", "build: -f ../../../../../../etc/passwd .", "failed to scan dependencies", "root:"},
	{"--file that is a link outside", "build: -f to-canary .", "failed to scan dependencies", "Successfully built"},
	{"--file that is a directory", "build: -f folder .", "failed to scan dependencies", "Successfully built"},
	{"--file that is large", "build: -f large .", "larger than", "Successfully built"},
	{"a context of the machine", "build: -f plain /etc", `path "/etc" not found`, "Successfully built"},
	{"a context above", "build: -f plain ../../..", `path "../../.." not found`, "Successfully built"},
	{"a context that is a link outside", "build: -f plain out", `path "out" not found`, "Successfully built"},
	{"a context by file:", "build: -f plain file:///etc", "not found|not supported", "Successfully built"},
	{"a working directory outside", "build: -f plain .\nworkingDirectory: /etc", failed, "Successfully built"},
	{"--cgroup-parent", "build: --cgroup-parent / -f plain .", "--cgroup-parent", "Successfully built"},
	{"--security-opt", "build: --security-opt seccomp=unconfined -f plain .", "--security-opt", "Successfully built"},
	{"--memory", "build: --memory 900g -f plain .", "--memory", "Successfully built"},
	{"--builder", "build: --builder other -f plain .", "--builder", "Successfully built"},
	{"--push", "build: --push -t x -f plain .", "use a push step", "Successfully built"},
	{"attestations", "build: --provenance mode=max -f plain .", "attestations of builds are not supported", "Successfully built"},
	{"a tag that is a path", "build: -t ../../x -f plain .", "invalid", "Successfully built"},
	{"a front end of somebody's", "build: --build-arg BUILDKIT_SYNTAX=IMAGE -f plain .", "Successfully built|not supported|syntax", "frontend grpc server closed"},
	{"a shell beside the build", "build: -f plain . ; cat CANARY", failed, "Successfully built"},
	{"a shell within the build", "build: -f plain $(cat CANARY)", failed, "Successfully built"},
}

// dockerfiles are attacks by what a Dockerfile says. ESCAPE is a path of the machine that
// must not exist afterwards, LOCKED an image for which the run has no credential.
var dockerfiles = []struct{ name, text, says, not string }{
	{"control: a RUN", "RUN echo said $((40+2))", "said 42", failed},
	{"RUN --security=insecure", "RUN --security=insecure echo said $((40+2))", "security.insecure is not allowed", "said 42"},
	{"RUN --network=host", "RUN --network=host echo said $((40+2))", "network.host is not allowed", "said 42"},
	{"RUN --device", "RUN --device=all echo said $((40+2))", "RUN --device is not supported", "said 42"},
	{"a mount from a directory of the machine", "RUN --mount=type=bind,from=/etc,target=/x cat /x/passwd", "invalid reference format", "root:x:0:0:root:/root:/bin/bash"},
	{"a mount of a source above", "RUN --mount=type=bind,source=../../../../../../../..,target=/x ls /x/proc/1 && echo said $((40+2))", "/x/proc/1: No such file", "said 42"},
	{"a mount of a source that is a link outside", "RUN --mount=type=bind,source=out,target=/x ls /x && echo said $((40+2))", "path escapes from parent", "said 42"},
	{"a mount of the type ssh without a key", "RUN --mount=type=ssh,required=true echo said $((40+2))", "unset ssh forward key", "said 42"},
	{"a secret that was not given", "RUN --mount=type=secret,id=passwd,required=true echo said $((40+2))", "passwd: not found|passwd not found", "said 42"},
	{"a secret by its path", "RUN --mount=type=secret,id=/etc/passwd,required=true echo said $((40+2))", "passwd: not found|passwd not found", "said 42"},
	{"a mount from an image without rights", "RUN --mount=type=bind,from=LOCKED,target=/x echo said $((40+2))", "authentication required", "said 42"},
	{"a copy from an image without rights", "COPY --from=LOCKED /bin/busybox /x\nRUN echo said $((40+2))", "authentication required", "said 42"},
	{"a base without rights", "FROM LOCKED\nRUN echo said $((40+2))", "authentication required", "said 42"},
	{"a base that is a path", "FROM /etc/passwd\nRUN echo said $((40+2))", "invalid reference format", "said 42"},
	{"a base of a layout", "FROM oci-layout:///etc\nRUN echo said $((40+2))", "invalid reference format", "said 42"},
	{"a copy from above", "COPY ../../../../../../../../CANARY /x\nRUN cat /x && echo said $((40+2))", "file does not exist|no such file or directory", "said 42"},
	{"a copy of an absolute path", "COPY CANARY /x\nRUN cat /x && echo said $((40+2))", "file does not exist|no such file or directory", "said 42"},
	{"a copy through a link", "COPY out/canary /x\nRUN cat /x && echo said $((40+2))", "path escapes from parent", "said 42"},
	{"a copy of a link", "COPY to-canary /x\nRUN cat /x && echo said $((40+2))", "path escapes from parent", "said 42"},
	{"an addition of a link", "ADD to-canary /x\nRUN cat /x && echo said $((40+2))", "path escapes from parent", "said 42"},
	{"an addition of an archive with a link and a file behind it", "ADD through.tar /x/\nRUN echo said $((40+2))", "no such file or directory", "canary of"},
	{"an addition of an archive that leads above", "ADD above.tar /x/\nRUN echo said $((40+2))", "said 42", failed},
	{"an addition of a file:", "ADD file:///etc/passwd /x\nRUN cat /x && echo said $((40+2))", "file does not exist|no such file or directory", "said 42"},
	{"an addition from ftp", "ADD ftp://127.0.0.1/x /x\nRUN cat /x && echo said $((40+2))", "file does not exist|no such file or directory", "said 42"},
	{"an addition from metadata", "ADD http://169.254.169.254/latest/meta-data /x\nRUN echo said $((40+2))", "egress policy", "said 42"},
	{"an addition from metadata as IPv6", "ADD http://[fd00:ec2::254]/latest /x\nRUN echo said $((40+2))", "egress policy", "said 42"},
	{"an addition from metadata, mapped", "ADD http://[::ffff:169.254.169.254]/latest /x\nRUN echo said $((40+2))", "egress policy", "said 42"},
	{"an addition from metadata, as a number", "ADD http://2852039166/latest /x\nRUN echo said $((40+2))", "no such host|egress policy", "said 42"},
	{"an addition from Azure's fabric", "ADD http://168.63.129.16/machine /x\nRUN echo said $((40+2))", "egress policy", "said 42"},
	{"an addition from nowhere", "ADD http://0.0.0.0:1/ /x\nRUN echo said $((40+2))", "egress policy", "said 42"},
	{"an addition from git at metadata", "ADD https://169.254.169.254/x.git#main /x\nRUN echo said $((40+2))", "ADD from a git repository is not supported", "said 42"},
	{"an addition from git over ssh", "ADD git@169.254.169.254:x/y.git /x\nRUN echo said $((40+2))", "ADD from a git repository is not supported", "said 42"},
	{"an addition from git with an option for a branch", "ADD https://127.0.0.1:1/x.git#--upload-pack=id /x\nRUN echo said $((40+2))", "ADD from a git repository is not supported", "said 42"},
	{"ONBUILD that wants the network of the machine", "ONBUILD RUN --network=host echo said $((40+2))\nFROM base", "network.host is not allowed", "said 42"},
	{"ONBUILD that wants to be insecure", "ONBUILD RUN --security=insecure echo said $((40+2))\nFROM base", "security.insecure is not allowed", "said 42"},
	{"ONBUILD that begins anew", "ONBUILD FROM LOCKED\nRUN echo said $((40+2))", "FROM isn't allowed as an ONBUILD trigger", "said 42"},
	{"a heredoc above", "COPY <<EOF ../../../../../../../..ESCAPE\nx\nEOF\nRUN echo said $((40+2))", "said 42", failed},
	{"a working directory above", "WORKDIR ../../../../../../../../..ESCAPE\nRUN touch x && echo said $((40+2))", "said 42", failed},
	{"a cache whose ID is a path", "RUN --mount=type=cache,id=../../../../..ESCAPE,target=/x touch /x/made && echo said $((40+2))", "said 42", failed},
	{"a cache above", "RUN --mount=type=cache,target=/../../../../..ESCAPE echo said $((40+2))", "said 42", failed},
	{"variables of the server", "RUN env && echo said $((40+2))", "said 42", "word-of-the-machine"},
	{"links in the image that RUN's mounts follow", "RUN rm -rf /etc/resolv.conf && ln -s ESCAPE /etc/resolv.conf\nRUN echo said $((40+2))", "Device or resource busy", "canary of"},
	{"a link in the place of a secret", "RUN mkdir -p /run && rm -rf /run/secrets && ln -s / /run/secrets\nRUN --mount=type=secret,id=two echo said $((40+2))", "said 42", failed},
	{"a link in the place of the working directory", "RUN ln -s ../../../../../../../../../../../tmp /w\nWORKDIR /w/acrux-attack-w\nRUN echo said $((40+2))", "said 42", failed},
	{"another front end", "# syntax=IMAGE\nFROM IMAGE\nRUN echo said $((40+2))", "only docker/dockerfile is supported", "canary of"},
	{"a front end of the machine", "# syntax=/etc/passwd\nFROM IMAGE\nRUN echo said $((40+2))", "invalid reference format", "root:x"},
}

// buildContext is what the builds are made from. Links in it lead to the canary.
func buildContext(t *testing.T, p *place) []byte {
	t.Helper()
	file := func(name, content string) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content: p.fill(content)}
	}
	link := func(name, to string) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}}
	}
	inner := archive(t, link("d", filepath.Dir(p.canary)), file("d/canary", "overwritten"))
	above := archive(t, file("../../../../../../../../.."+p.canary, "overwritten"))
	all := []entry{
		file("plain", "FROM IMAGE\nRUN true\n"), link("to-canary", p.canary), link("out", filepath.Dir(p.canary)),
		file("secret", "FROM IMAGE\nRUN --mount=type=secret,id=one echo \"secret is ($(cat /run/secrets/one))\"\n"),
		file("large", "FROM IMAGE\n"+strings.Repeat("# more\n", 800_000)), file("folder/x", ""),
		file("through.tar", string(inner)), file("above.tar", string(above)),
	}
	for i, d := range dockerfiles {
		text := d.text + "\n"
		if !strings.HasPrefix(text, "FROM") && !strings.HasPrefix(text, "#") {
			text = "FROM IMAGE AS base\n" + text
		}
		all = append(all, file(fmt.Sprintf("dockerfile%d", i), text))
	}
	return archive(t, all...)
}

// escape is a path of the machine that nothing may be made at.
const escape = "/tmp/acrux-attack-escape"

// fill puts names of the place into a text.
func (p *place) fill(text string) string {
	return strings.NewReplacer("IMAGE", p.Base, "LOCKED", p.Locked, "CANARY", p.canary, "ESCAPE", escape).Replace(text)
}

// optionsOfBuilds and dockerfilesOfStrangers try the two lists.
func optionsOfBuilds(t *testing.T, p *place) {
	from := served(t, zipped(t, buildContext(t, p)))
	trySteps(t, p, "", buildOptions, inContext(from))
	p.unharmed(t)
}

func dockerfilesOfStrangers(t *testing.T, p *place) {
	from := served(t, zipped(t, buildContext(t, p)))
	var cases []stepCase
	for i, d := range dockerfiles {
		cases = append(cases, stepCase{d.name, fmt.Sprintf("build: --no-cache -f dockerfile%d .", i), d.says, d.not})
	}
	trySteps(t, p, "", cases, inContext(from))
	p.unharmed(t)
}

// unharmed looks at what must be as it was.
func (p *place) unharmed(t *testing.T) {
	t.Helper()
	if text, err := os.ReadFile(p.canary); err != nil || string(text) != "canary of the machine\n" {
		t.Errorf("the file of the machine has %q, %v", text, err)
	}
	for _, path := range []string{escape, "/tmp/acrux-attack", "/tmp/acrux-attack-w"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was made on the machine", path)
			_ = os.RemoveAll(path)
		}
	}
}

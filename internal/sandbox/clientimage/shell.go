package clientimage

import (
	"os/exec"
	"strings"
)

// busyboxPath is where the image has busybox, if the machine has it.
const busyboxPath = "usr/bin/busybox"

// applets are the programs beside the shell that lines of steps call.
const applets = "sh [ awk base64 basename cat chmod cp cut date dirname env expr false find grep head hostname id ls mkdir mktemp " +
	"mv printenv printf pwd rm sed seq sha256sum sleep sort tail tar tee test touch tr true uname uniq wc wget which xargs"

// shell adds the shell of this machine to the programs, and returns the links by which its
// programs are called. Busybox brings many; without it there is the shell alone, and
// without a shell nothing.
func shell(programs map[string]string) (links map[string]string) {
	links = map[string]string{}
	if busybox, err := exec.LookPath("busybox"); err == nil {
		programs[busyboxPath] = busybox
		for name := range strings.FieldsSeq(applets) {
			links["bin/"+name] = "/" + busyboxPath
		}
	} else if sh, err := exec.LookPath("sh"); err == nil {
		programs["bin/sh"] = sh
	}
	return links
}

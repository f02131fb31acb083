#!/usr/bin/env bash
# The tutorial "Cross-registry authentication in an ACR task", both options, with the
# commands as the article prints them. Called by make demo.
finished=
trap 'exit 1' INT TERM
trap 'status=$?; [ -n "$finished" ] || status=1; [ -n "${KEEP:-}" ] && [ $status -eq 0 ] || stop; finish $status' EXIT
. test/demo/lib.sh

finish() {
  if [ -n "${KEEP:-}" ] && [ "$1" -eq 0 ]; then
    cat <<TEXT

The server is still up. To go on:
  eval "\$(bin/acrux env --data $DATA)"
  export PATH="\$PWD/bin:\$PATH"
  az acr task list --registry myregistry --output table
To end it:
  kill $server $upstream; sleep 2; rm -rf $WORK
TEXT
    disown -a
    return
  fi
  left=$(leftovers)
  # A mount that was left must not be emptied.
  rm -rf --one-file-system "$WORK"
  [ "$1" -eq 0 ] || { echo "the demo failed" >&2; exit "$1"; }
  [ -z "$left" ] || { printf 'left behind:\n%s\n' "$left" >&2; exit 1; }
  echo
  echo "Both options succeeded; no process, mount or namespace is left."
}

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { # print a command, then run it
  printf '\n\033[1m$ %s\033[0m\n' "$*"
  "$@"
}
capture() { # VARIABLE command…: print, run, keep the answer
  local name=$1 value
  shift
  printf '\n\033[1m$ %s=$(%s)\033[0m\n' "$name" "$*"
  value=$("$@")
  printf -v "$name" '%s' "$value"
  echo "$value"
}
must_fail() { # a command that must be refused
  printf '\n\033[1m$ %s\033[0m\n' "$*"
  if "$@"; then
    echo "this should have been refused" >&2
    return 1
  fi
  echo "(refused, as it must be)"
}

say "An upstream registry and a git server on this machine; a server on an empty directory"
start_upstream
start_server
cat "$WORK/server.out"
eval "$(acrux env --data "$DATA")"

say "Prerequisites: a resource group and two registries"
show az group create --name myResourceGroup --location eastus --output table
show az acr create --resource-group myResourceGroup --name myregistry --sku Standard --output table
show az acr create --resource-group myResourceGroup --name mybaseregistry --sku Standard --output table

say "Prepare base registry"
show az acr import --name mybaseregistry --source docker.io/library/node:15-alpine --image baseimages/node:15-alpine

say "Define task steps in YAML file"
cd "$WORK"
cat >helloworldtask.yaml <<YAML
version: v1.1.0
steps:
# Replace mybaseregistry with the name of your registry containing the base image
- build: -t \$Registry/hello-world:\$ID $GIT#main -f Dockerfile-app --build-arg REGISTRY_NAME=mybaseregistry.azurecr.io
- push: ["\$Registry/hello-world:\$ID"]
YAML
cat helloworldtask.yaml

say "Option 1: Create task with user-assigned identity"
show az identity create --resource-group myResourceGroup --name myACRTasksId
capture resourceID az identity show --resource-group myResourceGroup --name myACRTasksId --query id --output tsv
capture principalID az identity show --resource-group myResourceGroup --name myACRTasksId --query principalId --output tsv
capture clientID az identity show --resource-group myResourceGroup --name myACRTasksId --query clientId --output tsv
show az acr task create --registry myregistry --name helloworldtask --context /dev/null --file helloworldtask.yaml --assign-identity $resourceID

say "Without a credential for the base registry the run fails, and says what is missing"
must_fail az acr task run --name helloworldtask --registry myregistry

say "Give identity pull permissions to the base registry"
capture baseregID az acr show --name mybaseregistry --query id --output tsv
show az role assignment create --assignee $principalID --scope $baseregID --role acrpull

say "Add target registry credentials to task"
show az acr task credential add --name helloworldtask --registry myregistry --login-server mybaseregistry.azurecr.io --use-identity $clientID

say "Manually run the task"
show az acr task run --name helloworldtask --registry myregistry
show az acr repository show-tags --name myregistry --repository hello-world --output tsv
show az acr task delete --name helloworldtask --registry myregistry --yes

say "Option 2: Create task with system-assigned identity"
show az acr task create --registry myregistry --name helloworldtask --context /dev/null --file helloworldtask.yaml --assign-identity
capture principalID az acr task show --name helloworldtask --registry myregistry --query identity.principalId --output tsv
capture baseregID az acr show --name mybaseregistry --query id --output tsv
show az acr task credential add --name helloworldtask --registry myregistry --login-server mybaseregistry.azurecr.io --use-identity [system]

say "The new identity has no role yet: the run is refused at the login"
must_fail az acr task run --name helloworldtask --registry myregistry

show az role assignment create --assignee $principalID --scope $baseregID --role acrpull
show az acr task run --name helloworldtask --registry myregistry
show az acr repository show-tags --name myregistry --repository hello-world --output tsv

say "Pull the image that was built: refused without a token, accepted with one"
capture tag az acr repository show-tags --name myregistry --repository hello-world --orderby time_desc --top 1 --output tsv
server_name=myregistry$ACR_SUFFIX
fetch() { curl --silent --show-error --fail-with-body --cacert "$CA_BUNDLE" --connect-to "::$ACRUX_ADDRESS" "$@"; }
must_fail fetch "https://$server_name/v2/hello-world/manifests/$tag"
refresh=$(az acr login --name myregistry --expose-token --query accessToken --output tsv)
access=$(fetch "https://$server_name/oauth2/token" -d grant_type=refresh_token -d "refresh_token=$refresh" -d "service=$server_name" -d scope=repository:hello-world:pull | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
fetch -H "Authorization: Bearer $access" -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "https://$server_name/v2/hello-world/manifests/$tag" >manifest.json
digests=$(grep -o 'sha256:[0-9a-f]\{64\}' manifest.json)
for digest in $digests; do
  fetch -H "Authorization: Bearer $access" "https://$server_name/v2/hello-world/blobs/$digest" >blob
  [ "sha256:$(sha256sum blob | cut -d' ' -f1)" = "$digest" ]
  echo "$digest $(wc -c <blob) bytes, verified"
done

say "Run it: a container with the image serves its page to the next step"
cat >check.yaml <<YAML
version: v1.1.0
steps:
- id: web
  cmd: \$Registry/hello-world:$tag
  detach: true
- cmd: \$Registry/hello-world:$tag wget -q -O - http://web/
  retries: 5
  retryDelay: 1
YAML
cat check.yaml
show az acr run --registry myregistry --file check.yaml /dev/null

show az acr task list-runs --registry myregistry --output table
cd - >/dev/null
# What is looked for at the end has its name while the server is up.
[ "$(id -u)" -ne 0 ] || [ -n "$(control_groups)" ] || { echo "the server has no control group $GROUP" >&2; exit 1; }
finished=yes

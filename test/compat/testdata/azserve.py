"""Runs the Azure CLI's commands in children of one process.

Most of what a command costs is the loading of its code. This process loads it once and
forks for each command; the child enters the package by its own entry point, as the
program az does. The first argument is a Unix socket; a request is one message of JSON
{"args", "dir", "env"} with the three standard files, the answer is the exit status.
"""
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import sys
import tempfile

LIBRARIES = """adal asyncio azure.common azure.core.pipeline.policies azure.mgmt.authorization
azure.mgmt.containerregistry.v2019_06_01_preview azure.mgmt.containerregistry.v2019_06_01_preview.models
azure.mgmt.containerregistry.v2022_02_01_preview azure.mgmt.containerregistry.v2022_02_01_preview.models
azure.mgmt.msi azure.mgmt.resource azure.multiapi.storage.v2018_11_09.blob humanfriendly jmespath jwt
msal msal_extensions msrest msrestazure.azure_exceptions paramiko pkg_resources psutil requests tabulate yaml""".split()

# Where the CLI keeps what it remembers is read while its code is loaded: the path is one
# that means another folder in each process.
CONFIG_FILE = 200
CONFIG = "/proc/self/fd/%d" % CONFIG_FILE


def use_config(folder):
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.dup2(opened, CONFIG_FILE)
    os.close(opened)


def load():
    os.environ["AZURE_CONFIG_DIR"] = CONFIG
    with tempfile.TemporaryDirectory() as empty:
        use_config(empty)
        names = list(LIBRARIES)
        for package in ("core", "command_modules.acr", "command_modules.role", "command_modules.resource", "command_modules.identity",
                        "command_modules.profile", "command_modules.cloud", "command_modules.util"):
            root = importlib.import_module("azure.cli." + package)
            names += [m.name for m in pkgutil.walk_packages(root.__path__, root.__name__ + ".")
                      if "test" not in m.name and "extension" not in m.name and "aaz" not in m.name]
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:  # loaded by the command that needs it
                pass
    gc.freeze()


def command(request, files):
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    use_config(os.environ["AZURE_CONFIG_DIR"])
    os.environ["AZURE_CONFIG_DIR"] = CONFIG
    os.chdir(request["dir"])
    sys.argv = ["az"] + request["args"]
    runpy.run_module("azure.cli", run_name="__main__", alter_sys=True)


def serve(connection):
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        return command(json.loads(message), files)
    for file in files:
        os.close(file)
    _, status = os.waitpid(child, 0)
    connection.send(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    os._exit(0)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main():
    load()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(sys.argv[1])
    listener.listen(64)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        reap()
        if os.fork() == 0:
            listener.close()
            return serve(connection)
        connection.close()


main()

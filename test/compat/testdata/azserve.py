"""Runs the Azure CLI's commands in children of one process.

Much of what a command costs is the loading of libraries. This process loads them once
and forks for each command; the child enters the package by its own entry point, as the
program az does. The first argument is a Unix socket; a request is one message of JSON
{"args", "dir", "env"} with the three standard files, the answer is the exit status.
"""
import gc
import importlib
import json
import os
import runpy
import socket
import sys

# Nothing of azure.cli itself: it reads the environment while it is loaded.
LIBRARIES = """adal argcomplete asyncio azure.common azure.core azure.core.pipeline.policies
azure.mgmt.authorization azure.mgmt.containerregistry.v2019_06_01_preview.models
azure.mgmt.containerregistry.v2019_06_01_preview.operations
azure.mgmt.containerregistry.v2022_02_01_preview.models azure.mgmt.containerregistry.v2022_02_01_preview.operations
azure.mgmt.core azure.mgmt.msi azure.mgmt.resource colorama humanfriendly jmespath jwt knack.cli knack.commands knack.output
msal msal_extensions msrest msrestazure.azure_exceptions paramiko pkg_resources psutil requests
setuptools tabulate urllib3 xml.etree.ElementTree yaml""".split()


def command(request, files):
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
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


def main():
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # loaded by the command that needs it
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(sys.argv[1])
    listener.listen(64)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        while True:  # those that have ended
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        if os.fork() == 0:
            listener.close()
            return serve(connection)
        connection.close()


main()

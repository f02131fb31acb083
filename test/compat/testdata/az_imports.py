"""Is named sitecustomize where it is used: Python loads it before anything else.

Debian's Azure CLI is built for libraries that have one module for each version of an API, as
azure.mgmt.msi.v2024_11_30; those that Debian has beside it are one module, azure.mgmt.msi. The
first name is made to mean the second. What is sent stays what the CLI says.
"""
import importlib
import importlib.machinery
import re
import sys

VERSION = re.compile(r"\.v\d{4}_\d{2}_\d{2}(_preview)?(?=\.|$)")


class Renamed:
    def find_spec(self, name, path=None, target=None):
        plain = VERSION.sub("", name, count=1)
        if plain == name or not name.startswith("azure.mgmt."):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return importlib.import_module(VERSION.sub("", spec.name, count=1))

    def exec_module(self, module):
        pass


sys.meta_path.append(Renamed())
